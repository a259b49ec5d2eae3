"""Pictures: strips of frames, animations, a diagram of the network."""
