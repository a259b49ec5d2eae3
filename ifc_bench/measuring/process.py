"""One process's share of a profile: everything that it measures, in order.

Imports torch only where it measures: a process must read the GPU before CUDA starts.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ifc_bench.config import Profile
from ifc_bench.hardware.nvml import Gpu, Sampler
from ifc_bench.records import Energy, GpuLog, ProcessSamples
from ifc_bench.store import Store

if TYPE_CHECKING:
    from ifc_bench.measuring.speed import Subject


@dataclass(frozen=True)
class OutOfMemory:
    """The report of a process that ran out of memory; `evidence` is the GPU's log until then."""

    frames: list[int]
    asked_bytes: int | None
    message: str
    evidence: GpuLog | None = None


@dataclass(frozen=True)
class Measured:
    """The report of a process that has measured."""

    frames: list[int]
    samples: ProcessSamples


def measure_once(
    work: Profile, store: Store, device: str, place: int, first: bool = False
) -> Measured | OutOfMemory:
    """Measure one process's share of `work`, in this process.

    The `first` also hashes the work of tracker and output, and measures energy.
    """
    sampler = None
    if device != "cpu":  # before CUDA starts: processes on the GPU by now are not ours
        sampler = Sampler(Gpu(int(device.partition(":")[2] or 0)))
    from ifc_bench.measuring.memory import asked_bytes, out_of_memory  # torch

    frames: list[int] = []
    try:
        return _Process(work, store, device, sampler, frames).measured(place, first)
    except Exception as error:
        if not out_of_memory(error):
            raise
        evidence = sampler.log(out_of_memory=True) if sampler else None
        return OutOfMemory(frames, asked_bytes(error), str(error).splitlines()[0], evidence)


@dataclass(frozen=True)
class _Process:
    """Everything that one process measures; `frames` is filled once they are known."""

    work: Profile
    store: Store
    device: str
    sampler: Sampler | None
    frames: list[int]

    def measured(self, place: int, first: bool) -> Measured:
        """Measure everything, in an order in which nothing disturbs what follows."""
        from ifc_bench.measuring import memory, speed
        from ifc_bench.measuring.device_rates import device_rates
        from ifc_bench.measuring.network import graph_times, network_times
        from ifc_bench.measuring.settings import settings, settle
        from ifc_bench.measuring.subject import logit_distance, make_subject

        work, protocol = self.work, self.work.protocol
        settle(work)
        subject = make_subject(work, self.store, self.device)
        self.frames.extend(subject.frames)
        content = speed.fingerprint(subject) if first else None
        warmup = speed.warm_up(subject, protocol)
        gpu = self.sampler.gpu if self.sampler else None
        clock = gpu.sm_clock_mhz if gpu else None
        with self.sampler or nullcontext():
            masks = speed.to_masks(subject, protocol, clock)
            results = speed.to_results(subject, protocol, clock)
            network = network_times(subject, protocol, clock)
        seconds = protocol.max_seconds / 4
        samples = ProcessSamples(
            place=place,
            warmup_wall_seconds=warmup,
            network=network,
            masks=masks,
            results=results,
            reading_wall_seconds=speed.with_reading(subject, seconds) if protocol.scopes else None,
            scope_seconds=speed.by_scope(subject, seconds) if protocol.scopes else None,
            settings=settings(subject.device),
            energy=self._energy(subject) if first and gpu else None,
            memory=memory.measure_memory(subject, gpu),
            # After memory, so that their tensors do not count as memory of the subject.
            rates=device_rates(subject.device, work.precision),
            logit_distance=logit_distance(work, subject, self.store) if protocol.logits else None,
            network_graph=graph_times(subject, protocol, clock),
            card=self.sampler.log() if self.sampler else None,
            content=content,
        )
        return Measured(list(subject.frames), samples)

    def _energy(self, subject: Subject) -> Energy | None:
        from ifc_bench.measuring.energy import measure_energy
        from ifc_bench.measuring.speed import seconds_of

        assert self.sampler is not None
        return measure_energy(
            lambda: seconds_of(subject.device, subject.all_videos), self.sampler.gpu
        )
