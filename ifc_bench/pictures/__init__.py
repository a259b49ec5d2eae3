"""Pictures for people: strips of frames, animations, the network."""
