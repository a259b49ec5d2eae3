"""Controls of a table: each planned contrast with its verdict, beside the answer expected.

A verdict is one of four words. "helps" and "harms": the difference over seeds and videos exceeds
noise, after Holm's correction over the contrasts of the control. "equivalent": its 90% interval is
within the margin either way (two one-sided tests at 5%). "cannot tell": all else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from ifc_bench.recipe.control import Contrast, Control
from ifc_bench.report.crossed import Crossed
from ifc_bench.report.layout import ABSENT, Grid
from ifc_bench.report.over_videos import over_videos
from ifc_bench.report.results import Results
from ifc_bench.report.statistics import Summary, holm, summarise

Word = Literal["helps", "harms", "equivalent", "cannot tell"]
_LEVEL = 0.05
_POWER = 0.8
_MOST = 10_000  # seeds or videos; a larger estimate is not printed
_ANSWERS: dict[Word, str] = {"helps": "above", "harms": "below", "equivalent": "equal"}


@dataclass(frozen=True)
class Finding:
    """One contrast with its verdict; `found` is None where a side has no record.

    `corrected` is the p after Holm's correction over the contrasts of the control.
    """

    control: Control
    contrast: Contrast
    value: Summary | None
    found: Crossed | None
    corrected: float | None

    @property
    def word(self) -> Word:
        """The verdict."""
        found, interval = self.found, self.found.interval(1 - 2 * _LEVEL) if self.found else None
        if found is None or interval is None or self.corrected is None:
            return "cannot tell"
        if self.corrected < _LEVEL:
            return "helps" if found.mean > 0 else "harms"
        low, high = interval
        margin = self.control.margin
        return "equivalent" if -margin <= low and high <= margin else "cannot tell"

    @property
    def reason(self) -> str:
        """The reason for the verdict, in words; differences in points."""
        if self.found is None:
            return "a side has no record of it: not run, or not at this T, or on other data"
        if self.corrected is None:
            return "one seed has no std over seeds, nor one video over videos"
        n = _counted(self.found)
        margin = f"{100 * self.control.margin:g}"
        match self.word:
            case "helps" | "harms":
                return f"p = {_p(self.corrected)} after Holm, {n}"
            case "equivalent":
                return f"the 90% interval is within {margin} points either way, {n}"
        more = self._needed()
        if more is None:
            return f"the difference may be none or beyond {margin} points; {n}"
        return f"to tell {margin} points from none takes {more}; {n}"

    def _needed(self) -> str | None:
        """More seeds with these videos, or videos with these seeds, for 80% power at the margin.

        None where what there is would be enough.
        """
        assert self.found is not None
        of_seeds, of_videos = self.found.seed_std or 0.0, self.found.video_std or 0.0
        fewest = min(self.found.n)
        seeds = needed(fewest, of_seeds, of_videos, self.control.margin)
        videos = needed(self.found.videos, of_videos, of_seeds, self.control.margin)
        enough = [(seeds, fewest), (videos, self.found.videos)]
        if any(wanted is not None and wanted <= count for wanted, count in enough):
            return None
        words = [
            f"{count:,} {name}"
            for count, name in ((seeds, "seeds a side"), (videos, "videos"))
            if count is not None
        ]
        return " or ".join(words) or "more seeds and videos together"

    @property
    def as_expected(self) -> bool | None:
        """Whether the verdict is the one that was written down; None where none was."""
        if self.contrast.expected == "open":
            return None
        return _ANSWERS.get(self.word) == self.contrast.expected


def needed(count: int, std: float, other: float, size: float) -> int | None:
    """The number of seeds (or videos) that finds a difference of `size` with 80% power.

    `std` is its part of the std of the difference with `count` of them, `other` the rest.
    None where the other part alone is too large, or more than 10,000 are needed.
    """
    allowed = (size / (stats.norm.ppf(1 - _LEVEL / 2) + stats.norm.ppf(_POWER))) ** 2 - other**2
    if allowed <= 0:
        return None
    wanted = math.ceil(count * std**2 / allowed)
    return max(wanted, 2) if wanted <= _MOST else None


def findings(results: Results) -> list[Finding]:
    """Every planned contrast of the table, control by control."""
    found: list[Finding] = []
    for control in results.table.controls:
        found += _of_control(results, control)
    return found


def _of_control(results: Results, control: Control) -> list[Finding]:
    place = (control.window, control.measure, control.situation)
    found = [over_videos(results, one.row, one.against, *place) for one in control.contrasts]
    # All planned contrasts count, also those without a record yet: no p falls when one comes.
    ps = [1.0 if one is None or one.p is None else one.p for one in found]
    corrected = [
        None if one is None or one.p is None else p for one, p in zip(found, holm(ps), strict=True)
    ]
    rows = []
    for contrast, difference, p in zip(control.contrasts, found, corrected, strict=True):
        known = results.scores_of(contrast.row, *place)
        value = summarise(known.scores.values.tolist()) if known else None
        rows.append(Finding(control, contrast, value, difference, p))
    return rows


def controls_grid(results: Results) -> Grid:
    """The contrasts as a table."""
    rows = findings(results)
    judged = [row for row in rows if row.as_expected is not None]
    known = [row.found for row in rows if row.found is not None and row.found.std is not None]
    alone = bool(known) and all(found.seed_std is None for found in known)
    over = "over videos, for these weights" if alone else "over seeds and videos together"
    head = [
        f"{sum(row.as_expected is True for row in judged)} of {len(judged)} answers are as "
        "expected; what was expected was written down before the trainings",
        f"differences in points, with their 95% interval {over}; std: the parts of the seeds and "
        "of the videos; Holm over the contrasts of each control",
        *dict.fromkeys(f"{row.control.situation}: {row.control.reason}" for row in rows),
    ]
    columns = [
        "control", "measure", "T", "row", "value", "against", "difference [95%]",
        "std: seeds, videos", "verdict", "expected", "as expected",
    ]  # fmt: skip
    grid = Grid(f"{results.table.title}: controls", head, columns)
    for row in rows:
        control, contrast = row.control, row.contrast
        answer = {None: ABSENT, True: "yes", False: "no"}[row.as_expected]
        grid.rows.append(
            [
                control.situation, control.measure, str(control.window), contrast.row,
                _value(row.value), contrast.against, *_shown(row.found),
                f"{row.word}: {row.reason}", contrast.expected, answer,
            ]
        )  # fmt: skip
        grid.values.append(_values(row))
    return grid


def _counted(found: Crossed) -> str:
    if found.seed_std is None:
        return f"these weights (n = 1), {found.videos} videos"
    seeds = " and ".join(str(n) for n in dict.fromkeys(found.n))
    return f"n = {seeds} seeds, {found.videos} videos"


def _value(summary: Summary | None) -> str:
    if summary is None:
        return ABSENT
    points = summary.points
    return f"{points.mean:.1f}" + ("" if points.std is None else f"±{points.std:.1f}")


def _shown(found: Crossed | None) -> tuple[str, str]:
    if found is None:
        return ABSENT, ABSENT
    interval = found.interval()
    text = f"{100 * found.mean:+.1f}"
    if interval is not None:
        text += f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"
    parts = (
        ABSENT if std is None else f"{100 * std:.1f}" for std in (found.seed_std, found.video_std)
    )
    return text, ", ".join(parts)


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _values(row: Finding) -> dict[str, object]:
    found = row.found
    return {
        "control": row.control.situation,
        "measure": row.control.measure,
        "T": row.control.window,
        "row": row.contrast.row,
        "against": row.contrast.against,
        "mean": row.value.mean if row.value else None,
        "std": row.value.std if row.value else None,
        "difference": found.mean if found else None,
        "interval": found.interval() if found else None,
        "seed_std": found.seed_std if found else None,
        "video_std": found.video_std if found else None,
        "seeds": found.n if found else None,
        "videos": found.videos if found else None,
        "p_holm": row.corrected,
        "verdict": row.word,
        "reason": row.reason,
        "expected": row.contrast.expected,
        "as_expected": row.as_expected,
    }
