"""The speed of one subject in this process: three numbers, with reading, and per scope.

`network` is a clip in and its logits out. To masks is the paper's FPS: all frames of a video, which
are in memory, over the time to its final masks on the host. To results.json goes on to run lengths
and the text. No hooks are active while these are timed; scopes are timed in separate passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ifc_bench.config import Protocol
from ifc_bench.measuring.clocks import Tape, clock_for
from ifc_bench.measuring.ends import Fingerprint, ToMasks, ToResults
from ifc_bench.measuring.interval import median_interval
from ifc_bench.measuring.scopes import watching
from ifc_bench.measuring.throttling import judge
from ifc_bench.records import Timed
from ifc_bench.tracking.watch import Watch, unwatched

GPU_WARM_UP_SECONDS = 3.0  # at least: clocks and temperature settle, kernels are chosen
_WARM_UP_PASSES = 2
_LEAST_PASSES = 3
DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
ReadClock = Callable[[], float | None]
"""Reads the SM clock in MHz; None where it is not told."""
_RunVideo = Callable[[int, ToMasks, Watch], object]
_TO_MASKS = ToMasks()


@dataclass(frozen=True)
class Subject:
    """A network and its videos, to be measured.

    Attributes:
        network: the model, which may name its scopes (`watching`); not where it is compiled.
        frames: the number of frames of each video.
        clip: frames [T, 3, H, W] of the first window of the first video, on the host.
        device: the device that `run` works on.
        predict: runs the network on a clip [T, 3, H, W] that is on the device.
        run: processes a video, given by its index, from frames in memory to an end.
        read_and_run: the same from files; None if there are none.
        given_bytes: bytes on the device of the instances that the tracker is given.
        watchable: whether scopes of the network open while it runs.
    """

    network: nn.Module
    frames: list[int]
    clip: Tensor
    device: torch.device
    predict: Callable[[Tensor], object]
    run: _RunVideo
    read_and_run: _RunVideo | None
    given_bytes: Callable[[], int] = lambda: 0
    watchable: bool = True

    def all_videos(
        self, end: ToMasks = _TO_MASKS, watch: Watch = unwatched, reading: bool = False
    ) -> None:
        """Run one pass over all videos."""
        run = self.read_and_run if reading and self.read_and_run else self.run
        for video in range(len(self.frames)):
            run(video, end, watch)


def fingerprint(subject: Subject) -> str:
    """Hash all that tracker and output are given in one pass; equal where the work is equal."""
    end = Fingerprint()
    subject.all_videos(end)
    return end.text


def warm_up(subject: Subject, protocol: Protocol) -> list[float]:
    """Time the first passes, which select kernels, fill caches and bring clocks to their level."""
    least = protocol.warm_up_seconds
    if subject.device.type == "cuda":
        least = max(least, GPU_WARM_UP_SECONDS)
    taken: list[float] = []
    while len(taken) < _WARM_UP_PASSES or sum(taken) < least:
        taken.append(seconds_of(subject.device, lambda: subject.all_videos(ToResults())))
    return taken


def to_masks(subject: Subject, protocol: Protocol, clock: ReadClock | None = None) -> Timed:
    """Time passes from frames in memory to final masks."""
    return timed(subject.device, subject.all_videos, protocol, clock)


def to_results(subject: Subject, protocol: Protocol, clock: ReadClock | None = None) -> Timed:
    """Time passes from frames in memory to the text of results.json, half as long."""
    end = ToResults()
    return timed(subject.device, lambda: subject.all_videos(end), halved(protocol), clock)


def with_reading(subject: Subject, seconds: float) -> list[float] | None:
    """Time passes to masks that read their frames from files; None if there are no files."""
    if subject.read_and_run is None:
        return None
    return repeated(
        seconds, lambda: seconds_of(subject.device, lambda: subject.all_videos(reading=True))
    )


def by_scope(subject: Subject, seconds: float) -> dict[str, list[float]] | None:
    """Time each scope in passes to results.json with hooks; None if it cannot be watched."""
    if not subject.watchable:
        return None
    end = ToResults()

    def one() -> dict[str, float]:
        tape = Tape(clock_for(subject.device))
        with watching(subject.network, tape.watch), tape.running():
            subject.all_videos(end, tape.watch)
        return tape.seconds()

    passes = repeated(seconds, one)
    scopes = dict.fromkeys(scope for taken in passes for scope in taken)
    return {scope: [taken.get(scope, 0.0) for taken in passes] for scope in scopes}


def halved(protocol: Protocol) -> Protocol:
    """The protocol of the numbers beside the main one: the same precision in half the time."""
    times = {name: getattr(protocol, name) / 2 for name in ("min_seconds", "max_seconds")}
    return protocol.model_copy(update=times)


def timed(
    device: torch.device,
    action: Callable[[], object],
    protocol: Protocol,
    read_clock: ReadClock | None = None,
) -> Timed:
    """Time passes until the median is precise enough, or the time limit is reached.

    The SM clock is read between passes, while the device has nothing to do.
    """
    clock = clock_for(device)
    wall: list[float] = []
    marks: list[tuple[Any, Any]] = []
    clocks: list[float | None] = []

    def one() -> None:
        start = clock.mark()
        action()
        marks.append((start, clock.mark()))

    before = read_clock() if read_clock else None
    while not (done := _enough(wall, clocks, protocol)):
        wall.append(seconds_of(device, one))
        after = read_clock() if read_clock else None
        clocks.append(None if before is None or after is None else (before + after) / 2)
        before = after
    clock.finish()
    on_gpu = device.type == "cuda"
    return Timed(
        wall_seconds=wall,
        device_seconds=[clock.seconds(*pair) for pair in marks] if on_gpu else None,
        sm_clock_mhz=clocks if read_clock else None,
        stopped=done,
    )


def _enough(
    wall: list[float], clocks: list[float | None], protocol: Protocol
) -> Literal["precise", "cap", ""]:
    """Return the reason to stop, or an empty string to continue."""
    total = sum(wall)
    counted = [wall[place] for place in judge(clocks, len(wall), None).kept]
    if len(counted) >= protocol.min_passes and total >= protocol.min_seconds:
        interval = median_interval(counted)
        middle = median(counted)
        if interval and max(interval[1] - middle, middle - interval[0]) <= protocol.target * middle:
            return "precise"
    if len(wall) >= _LEAST_PASSES and total >= protocol.max_seconds:
        return "cap"
    return ""


def repeated(seconds: float, one: Callable[[], Any]) -> list[Any]:
    """Call `one` for about `seconds`, at least once, and return all its results."""
    begun = time.perf_counter()
    results = [one()]
    while time.perf_counter() - begun < seconds:
        results.append(one())
    return results


def seconds_of(device: torch.device, action: Callable[[], object]) -> float:
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
