"""Data sets: files in the YouTube-VIS or COCO format, and the embedded benchmark's generator."""
