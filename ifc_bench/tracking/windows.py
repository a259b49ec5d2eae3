"""Windows over a video, near-online or offline."""

from __future__ import annotations

from collections.abc import Iterator


def windows(length: int, window: int | None, stride: int) -> Iterator[range]:
    """Yield the windows over `length` frames; the last one is shifted back to end with the video.

    `window` None is the offline mode: one window for the whole video. A video shorter than the
    window gets one window of the video's length.
    """
    size = length if window is None else window
    for start in range(0, length, stride):
        if start + size >= length:
            yield range(max(0, length - size), length)
            return
        yield range(start, start + size)
