"""Data sets: files in the YouTube-VIS format, and the generator of the embedded benchmark."""
