"""Measure profiles: every measurement in its own process, with all subjects in turn.

Each round measures every subject once, in an order that rotates, so that a drift of the machine
does not look like a difference between subjects. Samples are saved under the runs directory after
every process, so an interrupted session resumes from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ifc_bench.config import Arithmetic, AttentionKernel, Data, NoiseFrames, Profile, Training
from ifc_bench.file_io import write_text
from ifc_bench.hardware.nvml import Gpu, Sampler
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.provenance import provenance
from ifc_bench.records import ProcessSamples, ProfileResult, Record, Status
from ifc_bench.store import Store

_SPECIAL = ("efficient", "flash")  # attention kernels that not every device has
# The next profile (None: waiting for another runner to finish), processes done, total.
Progress = Callable[[Profile | None, int, int], None]


@dataclass(frozen=True)
class OutOfMemory:
    """The report of a process that ran out of memory."""

    frames: list[int]
    asked_bytes: int | None
    message: str


@dataclass(frozen=True)
class Measured:
    """The report of a process that has measured."""

    frames: list[int]
    samples: ProcessSamples


class _Kept(BaseModel):
    """Finished processes of a profile that is not finished yet."""

    revision: str | None
    frames: list[int] = []
    processes: list[ProcessSamples] = []


def measure_profiles(
    profiles: Sequence[Profile], store: Store, device: str, progress: Progress
) -> Iterator[Record]:
    """Measure all of `profiles` on `device`; yield each record after its last process.

    Only one runner measures on a machine at a time. A profile that another one has measured in the
    meantime is not measured again.

    Raises:
        UserError: if a checkpoint, data or an attention kernel is missing.
    """
    with measuring(lambda: progress(None, 0, len(profiles))):
        left = [work for work in profiles if not store.done(work)]
        yield from _measure_all(left, store, device, progress)


def _measure_all(
    profiles: Sequence[Profile], store: Store, device: str, progress: Progress
) -> Iterator[Record]:
    kept = {work.id: _kept(store, work) for work in profiles}
    ended: set[str] = set()
    turns = list(_turns(profiles))
    for position, (number, work) in enumerate(turns):
        progress(work, position, len(turns))
        so_far = kept[work.id]
        if work.id in ended or len(so_far.processes) > number:
            continue
        answer = in_process(measure_once, work, store, device, position)
        if isinstance(answer, Measured):
            so_far.frames = answer.frames
            so_far.processes.append(answer.samples)
            write_text(store.samples_path(work), so_far.model_dump_json())
            if len(so_far.processes) < work.protocol.processes:
                continue
        ended.add(work.id)
        yield _record(store, work, device, so_far, answer)
        store.samples_path(work).unlink(missing_ok=True)
    for work in profiles:  # all processes were done in an earlier session
        if work.id not in ended:
            yield _record(store, work, device, kept[work.id], None)
            store.samples_path(work).unlink(missing_ok=True)


def require_kernels(works: Sequence[Profile], device: str) -> None:
    """Try every attention kernel once, before hours of other work.

    Runs in a fresh process: CUDA in this one would count as another program on the GPU.

    Raises:
        UserError: if one is not available.
    """
    special = {(w.model.attention, w.precision) for w in works if w.model.attention in _SPECIAL}
    for kernel, precision in sorted(special):
        in_process(_try_kernel, kernel, precision, device)


def _try_kernel(kernel: AttentionKernel, precision: Arithmetic, device: str) -> None:
    import torch

    from ifc_bench.measuring.speed import DTYPES
    from ifc_bench.models.attention import require_kernel

    require_kernel(kernel, torch.device(device), DTYPES[precision])


def measure_once(work: Profile, store: Store, device: str, position: int) -> Measured | OutOfMemory:
    """Measure one process's share of `work`, in this process."""
    sampler = None
    if device != "cpu":  # before CUDA starts: processes on the GPU by now are not ours
        sampler = Sampler(Gpu(int(device.partition(":")[2] or 0)))
    from ifc_bench.measuring.memory import asked_bytes, out_of_memory  # torch

    frames: list[int] = []
    try:
        return _measure(work, store, device, position, sampler, frames)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return OutOfMemory(frames, asked_bytes(error), str(error).splitlines()[0])


def _measure(
    work: Profile,
    store: Store,
    device: str,
    position: int,
    sampler: Sampler | None,
    frames: list[int],
) -> Measured:
    from ifc_bench.measuring import memory, speed
    from ifc_bench.measuring.subject import logit_distance, make_subject, settle

    settle(work)
    subject = make_subject(work, store, device)
    frames += subject.frames
    warmup = speed.warm_up(subject)
    if sampler is not None:
        with sampler:
            times = speed.end_to_end(subject, work.protocol)
    else:
        times = speed.end_to_end(subject, work.protocol)
    logits = work.protocol.logits
    detailed, seconds = work.protocol.scopes, work.protocol.max_seconds / 4
    samples = ProcessSamples(
        place=position,
        warmup_wall_seconds=warmup,
        wall_seconds=times.wall,
        device_seconds=times.device,
        reading_wall_seconds=speed.with_reading(subject, seconds) if detailed else None,
        scope_seconds=speed.by_scope(subject, seconds) if detailed else None,
        stopped=times.stopped,
        settings=speed.settings(subject.device),
        memory=memory.measure_memory(subject, sampler.gpu if sampler else None),
        # Last, so that its tensors do not count as memory of the subject.
        rates=speed.device_rates(subject.device, work.precision),
        logit_distance=logit_distance(work, subject, store) if logits else None,
        card=sampler.log() if sampler else None,
    )
    return Measured(list(subject.frames), samples)


def _turns(profiles: Sequence[Profile]) -> Iterator[tuple[int, Profile]]:
    """Yield rounds over all profiles; each round starts one profile later."""
    rounds = max((work.protocol.processes for work in profiles), default=0)
    for number in range(rounds):
        first = number % len(profiles)
        for work in [*profiles[first:], *profiles[:first]]:
            if number < work.protocol.processes:
                yield number, work


def _kept(store: Store, work: Profile) -> _Kept:
    """Load the samples of an interrupted session of the same git revision."""
    revision = provenance("cpu", 1).git_revision
    path = store.samples_path(work)
    try:
        found = _Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _Kept(revision=revision)
    return found if found.revision == revision else _Kept(revision=revision)


def _record(
    store: Store,
    work: Profile,
    device: str,
    kept: _Kept,
    answer: Measured | OutOfMemory | Died | None,
) -> Record:
    status: Status = "ok"
    error = None
    result: ProfileResult | None = ProfileResult(frames=kept.frames, processes=kept.processes)
    if isinstance(answer, OutOfMemory):
        status, error = "out_of_memory", answer.message
        result = ProfileResult(frames=answer.frames, processes=[], asked_bytes=answer.asked_bytes)
    elif isinstance(answer, Died):
        status, error, result = "failed", answer.message, None
    where = provenance(device, work.threads)
    split = _split_hash(work, store)
    record = Record.of(work, where, result, status=status, split_hash=split, error=error)
    store.save(record)
    return record


def _split_hash(work: Profile, store: Store) -> str | None:
    """Return the hash of the split of the input videos; None for noise frames."""
    data = work.footage or (work.weights.data if isinstance(work.weights, Training) else None)
    if data is None or isinstance(data, NoiseFrames):
        return None
    return _digest(store.results, store.runs, data)


@lru_cache
def _digest(results: Path, runs: Path, data: Data) -> str:
    """Return the hash of a data set's splits; read once for all profiles of a session."""
    from ifc_bench.data.splits import Splits  # imports torch, so only for videos

    return Splits(Store(results, runs), data).digest
