"""Measures, counts or predicts speed, memory and MACs."""
