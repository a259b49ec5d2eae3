"""Training: from configuration, seed and data to a checkpoint and curves."""
