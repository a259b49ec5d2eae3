"""The network: a pure map from a clip to predictions. Nothing here keeps state between clips."""
