"""What retrieval scores are worth: baselines that know nothing of pictures, or nothing but colours."""
