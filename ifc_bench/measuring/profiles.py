"""Measure profiles: every measurement in its own process, with all subjects in turn.

Each round measures every subject once, in an order that rotates, so that a drift of the machine
does not look like a difference between subjects. Samples are saved under the runs directory after
every process, so an interrupted session resumes from them. With `until` a subject has further
rounds until its interval over processes is narrow enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ValidationError

from ifc_bench.config import Arithmetic, AttentionKernel, Data, NoiseFrames, Profile, Training
from ifc_bench.errors import UserError, together
from ifc_bench.file_io import write_text
from ifc_bench.hardware.device import describe_device
from ifc_bench.hardware.precision import require_precision
from ifc_bench.measuring.interval import relative_width
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.measuring.process import Measured, OutOfMemory, measure_once
from ifc_bench.measuring.throttling import counted_seconds
from ifc_bench.provenance import provenance
from ifc_bench.records import ProcessSamples, ProfileResult, Record, Status
from ifc_bench.store import Store

_SPECIAL = ("efficient", "flash")  # attention kernels that not every device has
# The next profile (None: waiting for another runner to finish), processes done, total.
Progress = Callable[[Profile | None, int, int], None]


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
        UserError: if a checkpoint, data or an attention kernel is missing; all other profiles are
            measured first.
    """
    with measuring(lambda: progress(None, 0, len(profiles))):
        left = [work for work in profiles if not store.done(work)]
        yield from _measure_all(left, store, device, progress)


def _measure_all(
    profiles: Sequence[Profile], store: Store, device: str, progress: Progress
) -> Iterator[Record]:
    kept = {work.id: _kept(store, work) for work in profiles}
    ended: set[str] = set()
    refused: list[UserError] = []
    place = 0

    def wanted(work: Profile) -> bool:
        return work.id not in ended and _wanted(work, kept[work.id])

    for number, work in _turns(profiles, wanted):
        progress(work, place, place + _left(profiles, kept, ended))
        so_far = kept[work.id]
        place += 1
        if work.id in ended or len(so_far.processes) > number:
            continue
        try:
            answer = in_process(measure_once, work, store, device, place - 1, number == 0)
        except UserError as error:  # of this row alone
            ended.add(work.id)
            refused.append(error)
            continue
        if isinstance(answer, Measured):
            so_far.frames = answer.frames
            so_far.processes.append(answer.samples)
            write_text(store.samples_path(work), so_far.model_dump_json())
            if _wanted(work, so_far):
                continue
        ended.add(work.id)
        yield _record(store, work, device, so_far, answer)
        store.samples_path(work).unlink(missing_ok=True)
    for work in profiles:  # all processes were done in an earlier session
        if work.id not in ended:
            yield _record(store, work, device, kept[work.id], None)
            store.samples_path(work).unlink(missing_ok=True)
    if refused:
        raise together(refused)


def _wanted(work: Profile, kept: _Kept) -> bool:
    """Whether a profile needs another process."""
    protocol, done = work.protocol, len(kept.processes)
    if protocol.until is None or done < protocol.processes:
        return done < protocol.processes
    if done >= protocol.most_processes:
        return False
    width = relative_width([median(_seconds(process)) for process in kept.processes])
    return width is None or width > protocol.until


def _seconds(process: ProcessSamples) -> list[float]:
    facts = process.card.facts if process.card else None
    return counted_seconds(process.masks or process.results, facts)


def _left(profiles: Sequence[Profile], kept: Mapping[str, _Kept], ended: set[str]) -> int:
    """Processes that are left at least, this one included."""
    waiting = (work for work in profiles if work.id not in ended)
    return sum(
        max(work.protocol.processes - len(kept[work.id].processes), _wanted(work, kept[work.id]))
        for work in waiting
    )


def require_kernels(works: Sequence[Profile], device: str) -> None:
    """Check arithmetic, and try every attention kernel once, before hours of other work.

    Runs in a fresh process: CUDA in this one would count as another program on the GPU.

    Raises:
        UserError: if the device lacks a kernel, or the arithmetic of a precision.
    """
    for work in works:
        require_precision(work.precision, describe_device(device, work.threads))
    special = {(w.model.attention, w.precision) for w in works if w.model.attention in _SPECIAL}
    for kernel, precision in sorted(special):
        in_process(_try_kernel, kernel, precision, device)


def _try_kernel(kernel: AttentionKernel, precision: Arithmetic, device: str) -> None:
    import torch

    from ifc_bench.measuring.speed import DTYPES
    from ifc_bench.models.attention import require_kernel

    require_kernel(kernel, torch.device(device), DTYPES[precision])


def _turns(
    profiles: Sequence[Profile], wanted: Callable[[Profile], bool]
) -> Iterator[tuple[int, Profile]]:
    """Yield rounds over all profiles; each round starts one profile later.

    After the processes that are asked for, further rounds have those that are `wanted` still.
    """
    rounds = max((work.protocol.processes for work in profiles), default=0)
    number = 0
    while number < rounds or any(w.protocol.until is not None and wanted(w) for w in profiles):
        first = number % len(profiles)
        for work in [*profiles[first:], *profiles[:first]]:
            if number < work.protocol.processes or (work.protocol.until and wanted(work)):
                yield number, work
        number += 1


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
        result = ProfileResult(
            frames=answer.frames,
            processes=[],
            asked_bytes=answer.asked_bytes,
            evidence=answer.evidence,
        )
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

    splits = Splits(Store(results, runs), data)
    splits.refuse_changed()
    return splits.digest
