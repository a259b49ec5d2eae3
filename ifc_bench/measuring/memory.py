"""Peak memory of one pass: torch's allocations per scope, and the numbers of the system.

On a GPU torch's allocator keeps the peak; on a CPU its profiler reports every allocation. Counters
are reset only where a scope opens or closes, never while they are read.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.autograd.profiler import profile, record_function  # torch.profiler imports a compiler

from ifc_bench.hardware.nvml import Gpu
from ifc_bench.measuring.ends import ToMasks
from ifc_bench.measuring.scopes import watching
from ifc_bench.measuring.speed import Subject
from ifc_bench.records import Memory
from ifc_bench.tracking.watch import Watch

_MARK = "scope:"
_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "GB": 1 << 30, "MB": 1 << 20, "bytes": 1}
_FULL = (  # messages of the host's allocators, cuDNN and the driver
    "can't allocate memory",
    "annot allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "out of memory",
    "killed by signal: Killed",  # a process that loads data
)
_ASKED = re.compile(r"ried to allocate ([\d.]+) (GiB|MiB|KiB|GB|MB|bytes)")


def measure_memory(subject: Subject, gpu: Gpu | None) -> Memory:
    """Measure one pass to masks over the first video: torch's peaks, and the system's numbers."""
    on_gpu = subject.device.type == "cuda"
    watched = subject.network if subject.watchable else None
    end = ToMasks()

    def one_pass(watch: Watch) -> None:
        with watching(watched, watch) if watched is not None else nullcontext():
            subject.run(0, end, watch)

    reserved = None
    with host_peak() as peak:
        if on_gpu:
            held, by_scope, reserved = _cuda_peaks(subject.device, one_pass)
            held -= subject.given_bytes()
        else:
            _, by_scope = cpu_peaks(subject.device, one_pass)
            held = network_bytes(subject.network)
    processes = gpu.processes() if gpu else None
    return Memory(
        weights_bytes=held,
        peak_allocated_bytes=held + max(by_scope.values()),
        peak_reserved_bytes=reserved,
        scope_increase_bytes=by_scope,
        process_bytes=_own(processes),
        device_used_bytes=gpu.used_bytes() if gpu else None,
        host_rss_bytes=psutil.Process().memory_info().rss,
        host_peak_bytes=peak.bytes,
    )


@dataclass
class HostPeak:
    """Peak of resident memory in a block; None where the system does not tell."""

    bytes: int | None = None


@contextmanager
def host_peak() -> Iterator[HostPeak]:
    """Measure the peak of this process's resident memory in the block: Linux, from /proc."""
    peak = HostPeak()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    except OSError:
        yield peak
        return
    yield peak
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    peak.bytes = int(found[1]) << 10 if found else None


def network_bytes(network: torch.nn.Module) -> int:
    """Return the size of all parameters and buffers."""
    held = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def cpu_peaks(
    device: torch.device, action: Callable[[Watch], object]
) -> tuple[int, dict[str, int]]:
    """Return 0, and the largest increase of torch's allocations in each scope.

    The increases come from the profiler's trace. It does not see earlier allocations: they count 0.
    """

    @contextmanager
    def watch(scope: str) -> Iterator[None]:
        with record_function(_MARK + scope):
            yield

    with profile(use_kineto=True, profile_memory=True) as profiler:
        action(watch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return 0, _peaks_of_trace(events)


def _peaks_of_trace(events: list[dict[str, Any]]) -> dict[str, int]:
    """Walk allocations and scopes in order of time; a peak is the highest level above the start."""
    steps: list[tuple[float, int, int | str]] = []  # time, order at equal times, what happened
    for event in events:
        name = str(event.get("name", ""))
        if name == "[memory]" and event["args"]["Device Type"] == 0:
            steps.append((event["ts"], 1, int(event["args"]["Bytes"])))
        elif name.startswith(_MARK) and event.get("ph") == "X":
            steps.append((event["ts"], 0, name.removeprefix(_MARK)))
            steps.append((event["ts"] + event["dur"], 2, ""))
    level = 0
    opened = ["other"]
    peaks = {"other": 0}
    for _, _, what in sorted(steps, key=lambda step: step[:2]):
        if isinstance(what, int):
            level += what
        elif what:
            opened.append(what)
        else:
            opened.pop()
        peaks[opened[-1]] = max(peaks.get(opened[-1], 0), level)
    return peaks


def _cuda_peaks(
    device: torch.device, action: Callable[[Watch], object]
) -> tuple[int, dict[str, int], int]:
    """Do the same with the CUDA allocator, and return its peak of reserved bytes as well.

    Its cache is emptied before, so that all is of `action`. It counts on the host: no
    synchronisation is needed.
    """
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    held = int(torch.cuda.memory_allocated(device))
    peaks: dict[str, int] = {}
    opened = ["other"]
    reserved = 0

    def turn() -> None:
        """Record the peak of the open scope, then reset the counters."""
        nonlocal reserved
        peak = int(torch.cuda.max_memory_allocated(device)) - held
        peaks[opened[-1]] = max(peaks.get(opened[-1], 0), peak)
        reserved = max(reserved, int(torch.cuda.max_memory_reserved(device)))
        torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def watch(scope: str) -> Iterator[None]:
        turn()
        opened.append(scope)
        try:
            yield
        finally:
            turn()
            opened.pop()

    torch.cuda.reset_peak_memory_stats(device)
    action(watch)
    turn()
    return held, peaks, reserved


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FULL)


def asked_bytes(error: BaseException) -> int | None:
    """Return the size that torch requested when memory ran out; None if it is not reported."""
    match = _ASKED.search(str(error))
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def _own(processes: dict[int, int | None] | None) -> int | None:
    """Return NVML's count for this process; None in a container with its own process ids."""
    return None if processes is None else processes.get(os.getpid())
