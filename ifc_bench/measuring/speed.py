"""The speed of one subject in this process: end to end, with reading, and per scope.

End to end is the paper's FPS: everything up to the final tracks of a video, with frames decoded
beforehand. No hooks are active during end-to-end timing; scopes are timed in separate passes.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ifc_bench.config import Arithmetic, Protocol
from ifc_bench.measuring.clocks import Clock, Tape, clock_for
from ifc_bench.measuring.counts import watching
from ifc_bench.measuring.interval import median_interval
from ifc_bench.models.ifc import IFC
from ifc_bench.records import Rates
from ifc_bench.tracking.watch import Watch, unwatched

_WARMUP_PASSES = 2
_LEAST_PASSES = 3
DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Subject:
    """A network and its videos, to be measured.

    Attributes:
        network: the model; scopes of a compiled one cannot be watched.
        frames: the number of frames of each video.
        clip: frames [T, 3, H, W] of the first window of the first video, on the host.
        device: the device that `run` works on.
        run: processes a video, given by its index, from frames in memory to its final tracks.
        read_and_run: the same from files; None if there are none.
        watchable: whether scopes of the network open while it runs.
    """

    network: IFC
    frames: list[int]
    clip: Tensor
    device: torch.device
    run: Callable[[int, Watch], object]
    read_and_run: Callable[[int, Watch], object] | None
    watchable: bool = True

    def all_videos(self, watch: Watch = unwatched, reading: bool = False) -> None:
        """Run one pass over all videos."""
        run = self.read_and_run if reading and self.read_and_run else self.run
        for video in range(len(self.frames)):
            run(video, watch)


@dataclass
class Times:
    """Seconds of each pass; `device` is None if the device has no clock of its own."""

    wall: list[float]
    device: list[float] | None
    stopped: Literal["precise", "cap"] = "cap"


def warm_up(subject: Subject) -> list[float]:
    """Time the first passes, which select kernels and fill caches for every input shape."""
    return [_wall(subject, subject.all_videos) for _ in range(_WARMUP_PASSES)]


def end_to_end(subject: Subject, protocol: Protocol) -> Times:
    """Time passes until the median is precise enough, or the time limit is reached."""
    clock = clock_for(subject.device)
    wall: list[float] = []
    marks: list[tuple[Any, Any]] = []

    def timed() -> None:
        start = clock.mark()
        subject.all_videos()
        marks.append((start, clock.mark()))

    while not (done := _enough(wall, protocol)):
        wall.append(_wall(subject, timed))
    device = _between(clock, marks) if subject.device.type == "cuda" else None
    return Times(wall, device, done)


def with_reading(subject: Subject, seconds: float) -> list[float] | None:
    """Time passes that read their frames from files; None if there are no files."""
    if subject.read_and_run is None:
        return None
    return _for(seconds, lambda: _wall(subject, lambda: subject.all_videos(reading=True)))


def by_scope(subject: Subject, seconds: float) -> dict[str, list[float]] | None:
    """Time each scope in passes with hooks; None if the network cannot be watched."""
    if not subject.watchable:
        return None

    def one() -> dict[str, float]:
        tape = Tape(clock_for(subject.device))
        with watching(subject.network, tape.watch), tape.running():
            subject.all_videos(tape.watch)
        return tape.seconds()

    passes = _for(seconds, one)
    scopes = dict.fromkeys(scope for taken in passes for scope in taken)
    return {scope: [taken.get(scope, 0.0) for taken in passes] for scope in scopes}


def device_rates(device: torch.device, precision: Arithmetic) -> Rates:
    """Measure the peak rates of arithmetic and memory, each the fastest of several tries.

    Arithmetic is one large matrix product or, on a CPU, one large 3x3 convolution if that is
    faster: torch's two libraries may use different instructions. Memory is one large copy between
    existing tensors that are too large for caches.
    """
    large = device.type == "cuda"
    side, numbers = (4096, 1 << 26) if large else (768, 1 << 25)

    def fastest(action: Callable[[], object]) -> float:
        return min(_for(0.1, lambda: _timed(device, action)))

    with torch.inference_mode():
        a = torch.ones(side, side, device=device, dtype=DTYPES[precision])
        rate = side**3 / fastest(lambda: a @ a)
        if not large:
            maps = torch.ones(1, 256, 34, 34, dtype=a.dtype).to(memory_format=torch.channels_last)
            kernels = torch.ones(256, 256, 3, 3, dtype=a.dtype)
            rate = max(rate, 32**2 * 256**2 * 9 / fastest(lambda: F.conv2d(maps, kernels)))
        source, target = (torch.ones(numbers, device=device) for _ in range(2))
        copied = 2 * source.numel() * source.element_size()
        return Rates(
            macs_per_second=rate,
            bytes_per_second=copied / fastest(lambda: target.copy_(source)),
        )


def settings(device: torch.device) -> dict[str, str | int | bool]:
    """Read the other settings of torch that affect speed."""
    backends = torch.backends
    values: dict[str, str | int | bool] = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_tf32": backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": backends.cudnn.allow_tf32,
        "cudnn_benchmark": backends.cudnn.benchmark,
    }
    if device.type == "cuda":
        values["cudnn"] = backends.cudnn.version() or 0
        values["cuda"] = torch.version.cuda or ""
    else:
        values["cpu_capability"] = backends.cpu.get_cpu_capability()
        kept = os.environ.get("MALLOC_MMAP_MAX_") == "0" and platform.libc_ver()[0] == "glibc"
        values["keeps_memory"] = kept  # freed memory stays (measuring/isolation.py)
        preloaded = os.environ.get("LD_PRELOAD", "").split()
        values["preloaded"] = " ".join(Path(library).name for library in preloaded)
    return values


def _enough(wall: list[float], protocol: Protocol) -> Literal["precise", "cap", ""]:
    """Return the reason to stop, or an empty string to continue."""
    total = sum(wall)
    if len(wall) >= protocol.min_passes and total >= protocol.min_seconds:
        interval = median_interval(wall)
        middle = median(wall)
        if interval and max(interval[1] - middle, middle - interval[0]) <= protocol.target * middle:
            return "precise"
    if len(wall) >= _LEAST_PASSES and total >= protocol.max_seconds:
        return "cap"
    return ""


def _for(seconds: float, one: Callable[[], Any]) -> list[Any]:
    """Call `one` for about `seconds`, at least once, and return all its results."""
    begun = time.perf_counter()
    results = [one()]
    while time.perf_counter() - begun < seconds:
        results.append(one())
    return results


def _between(clock: Clock, marks: list[tuple[Any, Any]]) -> list[float]:
    clock.finish()
    return [clock.seconds(start, end) for start, end in marks]


def _wall(subject: Subject, action: Callable[[], object]) -> float:
    return _timed(subject.device, action)


def _timed(device: torch.device, action: Callable[[], object]) -> float:
    """Return the seconds until the device has finished the work of `action`."""
    synchronise(device)
    begun = time.perf_counter()
    action()
    synchronise(device)
    return time.perf_counter() - begun


def synchronise(device: torch.device) -> None:
    """Wait for a GPU; work on a CPU is already finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
