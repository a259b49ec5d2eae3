"""Benchmark and ablation harness for inter-frame communication in video instance segmentation."""
