"""Statistics that evaluations share: ranks, intervals, durations, clusterings, segmentations."""
