"""End-to-end speed, as the paper takes it: everything up to the final tracks of a video.

Frames are decoded before the clock starts. Subjects take turns within every repeat, so that a
drift of the machine does not look like a difference between them. The device is synchronised
before the clock is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ifc_bench.config import Profile
from ifc_bench.records import ProfileResult


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        videos: whole videos on the CPU, uint8 [L, 3, H, W].
        run: takes a video to its final tracks.
        device: the device that `run` works on.
    """

    profile: Profile
    videos: list[Tensor]
    run: Callable[[Tensor], object]
    device: torch.device


def measure(
    subjects: list[Subject], tell: Callable[[int, int], None] | None = None
) -> list[ProfileResult]:
    """Raw times of every subject, in its order. One warm-up pass each comes first."""
    rounds = 1 + max((subject.profile.repeats for subject in subjects), default=0)
    seconds: list[list[list[float]]] = [[] for _ in subjects]
    for turn in range(rounds):
        for index, subject in enumerate(subjects):
            if turn <= subject.profile.repeats:
                seconds[index].append([_time(subject, video) for video in subject.videos])
            if tell:
                tell(turn * len(subjects) + index + 1, rounds * len(subjects))
    return [
        ProfileResult(
            frames=[len(video) for video in subject.videos],
            warmup_seconds=taken[0],
            wall_seconds=taken[1:],
            peak_allocated_bytes=_peak(subject),
        )
        for subject, taken in zip(subjects, seconds, strict=True)
    ]


def _time(subject: Subject, video: Tensor) -> float:
    _synchronise(subject.device)
    begun = time.perf_counter()
    subject.run(video)
    _synchronise(subject.device)
    return time.perf_counter() - begun


def _peak(subject: Subject) -> int | None:
    """Peak of torch's CUDA allocator over one video, in a pass of its own."""
    if subject.device.type != "cuda" or not subject.videos:
        return None
    torch.cuda.reset_peak_memory_stats(subject.device)
    subject.run(subject.videos[0])
    return int(torch.cuda.max_memory_allocated(subject.device))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
