"""Decodes COCO's run-length text, one mask alone or many together. numpy only.

The text is little-endian base 32: a character holds five bits, and whether more follow for its
run. From the fourth run on it holds differences to the run before last. pycocotools decodes it
unchecked: it reads out of bounds on a broken text, and never returns from the IoU of a mask that
does not fill its frame, so texts from files are checked here first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int32]

_FIRST, _MORE, _END = 48, 80, 112  # codes of digits: final ones, those that others follow, neither
_AT_ONCE = 600  # masks of some hundred characters; their numbers then fit the cache
_LONGEST = 6  # digits of a run; pycocotools keeps 32 bits
# A final digit alone is a run, or a difference, from -16 to 15.
_FINAL = bytes(((code - _FIRST) % 32 ^ 16) - 16 & 255 for code in range(256))
_FOLLOWED = bytes(range(_MORE, _END))


def run_lengths(text: str) -> list[int] | None:
    """Run lengths of one mask, background first; None where `text` is no such text."""
    if not text.isascii():
        return None
    digits = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST
    last = (digits & 32) == 0
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or not last[-1]:
        return None
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    lengths = np.diff(np.append(starts, len(digits)))
    if lengths.max() > _LONGEST:
        return None
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    values -= np.where(digits[last] & 16, 1 << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return [int(v) for v in values]


def sound_areas(texts: Sequence[str], pixels: int | NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Foreground pixels of each mask; None unless each one fills its frame of `pixels` exactly.

    `pixels` is one number for all masks, or one for each. This decodes many texts in a few passes;
    `run_lengths` decodes one.
    """
    if not all(texts):
        return None
    blocks = [np.zeros(0, np.int64)]
    wanted = np.broadcast_to(pixels, len(texts))
    for first in range(0, len(texts), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        found = _block_areas(texts[some], wanted[some])
        if found is None:
            return None
        blocks.append(found)
    return np.concatenate(blocks)


def _block_areas(texts: Sequence[str], pixels: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """`sound_areas` of so few masks that the numbers stay in the cache.

    Runs are kept modulo 2**32, which loses nothing: each differs by less than 2**30 from one that
    fits the largest frame, and is refused unless it fits as well.
    """
    try:
        joined = "".join(texts).encode("ascii")
    except UnicodeEncodeError:
        return None
    decoded = _differences(joined, np.cumsum([len(text) for text in texts]))
    if decoded is None:
        return None
    values, ends = decoded
    starts = np.concatenate(([0], ends[:-1]))
    third = starts[ends - starts > 2]
    values[third + 2] -= values[third]  # the third run is no difference to the first
    covered = []
    for parity in (0, 1):  # every second run of the block: a run and its differences stay together
        until = (ends + 1 - parity) // 2
        runs = _restarted(values[parity::2], until)
        if runs.size and (runs.min() < 0 or runs.max() > pixels.max()):
            return None
        covered.append(_between(runs, until, np.int64))
    if (covered[0] + covered[1] != pixels).any():
        return None
    return np.where(starts % 2, *covered)


def _differences(
    joined: bytes, ends: NDArray[np.int64]
) -> tuple[Integers, NDArray[np.int64]] | None:
    """Runs as written, and where those of each mask end; None where it is no run-length text.

    `joined` holds the texts of masks, which end before the positions `ends`.
    """
    codes = np.frombuffer(joined, np.uint8)
    if codes.min() < _FIRST or codes.max() >= _END:
        return None
    followed = codes >= _MORE
    if followed[ends - 1].any():
        return None
    values = np.frombuffer(joined.translate(_FINAL, _FOLLOWED), np.int8).astype(np.int32)
    places = np.flatnonzero(followed)
    if places.size:
        begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)  # of runs with several digits
        counts = np.diff(begins, append=len(places))  # digits before the final one
        if counts.max() >= _LONGEST:
            return None
        first = places[begins]
        runs = first - begins  # among all runs
        found = values[runs] << (5 * counts.astype(np.int32))
        found |= codes[first].astype(np.int32) - _MORE
        for digit in range(1, counts.max()):
            some = np.flatnonzero(counts > digit)
            found[some] |= (codes[first[some] + digit].astype(np.int32) - _MORE) << 5 * digit
        values[runs] = found
    return values, ends - np.searchsorted(places, ends)


def _restarted(differences: Integers, ends: NDArray[np.int64]) -> Integers:
    """Running sums that begin anew at each of `ends`."""
    fresh = differences.copy()
    again = ends < len(fresh)
    np.subtract.at(fresh, ends[again], _between(fresh, ends, np.int32)[again])
    return np.cumsum(fresh, dtype=np.int32, out=fresh)


def _between(
    values: Integers, ends: NDArray[np.int64], kind: type[np.integer]
) -> NDArray[np.integer]:
    """Sums of `values` up to the first of `ends`, from there to the second, and so on."""
    starts = np.concatenate(([0], ends[:-1]))
    found = np.zeros(len(ends), kind)
    some = starts < ends  # `reduceat` takes one value where there are none
    if some.any():
        found[some] = np.add.reduceat(values[: ends[-1]], starts[some], dtype=kind)
    return found
