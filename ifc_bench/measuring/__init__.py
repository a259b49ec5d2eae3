"""Speed, memory and MACs: how each is measured, counted or predicted."""
