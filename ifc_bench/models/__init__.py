"""The network: a pure function from a clip to predictions, without state between clips."""
