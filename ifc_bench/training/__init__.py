"""From configuration, seed and data to a checkpoint and its curves."""
