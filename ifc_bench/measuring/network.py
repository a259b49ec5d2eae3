"""The network alone: a clip on the device in, its logits out; also replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ifc_bench.config import Protocol
from ifc_bench.measuring.speed import ReadClock, Subject, halved, synchronise, timed
from ifc_bench.records import Timed

_TRIES_BEFORE_CAPTURE = 3  # kernels and workspaces must be there before


def network_times(subject: Subject, protocol: Protocol, clock: ReadClock | None = None) -> Timed:
    """Time the network on the first clip, warmed up apart: it is shaped otherwise than a pass."""
    clip = subject.clip.to(subject.device)
    for _ in range(_TRIES_BEFORE_CAPTURE):
        subject.predict(clip)
    return timed(subject.device, lambda: subject.predict(clip), halved(protocol), clock)


def graph_times(
    subject: Subject, protocol: Protocol, clock: ReadClock | None = None
) -> Timed | None:
    """Time the same as a CUDA graph: one launch for all kernels.

    None on a CPU, for a compiled network, and where the network cannot be captured (an operation
    that waits for the device). Call it last: a capture that fails may leave the process unusable.
    """
    if subject.device.type != "cuda" or not subject.watchable:
        return None
    clip = subject.clip.to(subject.device)
    replay = _captured(lambda: subject.predict(clip), subject.device)
    return None if replay is None else timed(subject.device, replay, halved(protocol), clock)


def _captured(action: Callable[[], object], device: torch.device) -> Callable[[], None] | None:
    """Capture `action`; its inputs stay where they are. None if that is impossible."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(_TRIES_BEFORE_CAPTURE):
            action()
    torch.cuda.current_stream(device).wait_stream(side)
    synchronise(device)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            action()
    except RuntimeError:
        return None
    replay: Callable[[], None] = graph.replay
    return replay
