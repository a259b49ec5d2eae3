"""Lines on networks that users bring, in the head of the table of profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ifc_bench.config import Count, NoiseFrames, OwnNetwork, Profile, variant_name
from ifc_bench.records import CountResult, Record
from ifc_bench.report.quantities import GIGA_MACS
from ifc_bench.store import Store

CountOf = Callable[[Count], CountResult | None]


def counted_in(store: Store) -> CountOf:
    """Looks a count up in `store`; None where it has no record."""

    def look_up(work: Count) -> CountResult | None:
        record = store.load(work)
        return record.result if record and isinstance(record.result, CountResult) else None

    return look_up


def macs_of(record: Record, count_of: CountOf) -> int | None:
    """MACs of one clip of a profile, of all parts of the network; None where not counted."""
    found = _count(record, count_of)
    if found is None or found.scopes is None:
        return None
    return sum(cost.macs for cost in found.scopes.values())


def own_lines(records: Iterable[Record], count_of: CountOf | None) -> list[str]:
    """Lines on the way that own networks are measured, and on the MACs of a clip of each.

    Empty where no record is of one.
    """
    own = [record for record in records if _is_own(record)]
    if not own:
        return []
    names = ", ".join(dict.fromkeys(_own(record).source for record in own))
    lines = [
        f"own networks ({names}): the whole clip of every window passes the network, no features "
        "are shared; tracker and output are given the recorded tracks on the grid of their masks"
    ]
    if count_of is not None:
        lines += dict.fromkeys(line for one in own for line in _counts(one, count_of))
    return lines


def _counts(record: Record, count_of: CountOf) -> Iterator[str]:
    work = record.work
    assert isinstance(work, Profile)
    found = _count(record, count_of)
    if found is None or not isinstance(work.footage, NoiseFrames):
        return
    frames = min(work.window or work.footage.frames, work.footage.frames)
    clip = f"{variant_name(work.model)}, clip of {frames} frame{'s'[: frames > 1]} of " + (
        f"{work.footage.height}x{work.footage.width}"
    )
    macs = macs_of(record, count_of)
    if macs is None:
        yield f"MACs of {clip}: not counted: {found.not_counted}"
    else:
        yield f"MACs of {clip}: {GIGA_MACS.text(macs)}"


def _count(record: Record, count_of: CountOf) -> CountResult | None:
    work = record.work
    assert isinstance(work, Profile)
    return count_of(work.clip_count) if work.clip_count is not None else None


def _is_own(record: Record) -> bool:
    return isinstance(record.work, Profile) and isinstance(record.work.weights, OwnNetwork)


def _own(record: Record) -> OwnNetwork:
    assert isinstance(record.work, Profile)
    assert isinstance(record.work.weights, OwnNetwork)
    return record.work.weights
