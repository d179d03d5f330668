"""Training: data, augmentation, the loop, checkpoints, several processes."""
