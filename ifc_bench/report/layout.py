"""A laid-out table, and its text in each format."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from tabulate import tabulate

from ifc_bench.config import Data, FolderData, SyntheticData
from ifc_bench.errors import UserError
from ifc_bench.report.quantities import ABSENT as ABSENT
from ifc_bench.report.statistics import FEW

FORMATS = ("github", "latex", "csv", "json")
Format = Literal["github", "latex", "csv", "json"]

FEW_MARK = "†"


class Caution(str):
    """A line of a head that warns; a page of several tables repeats it at its top."""

    __slots__ = ()


FEW_LINE = Caution(
    f"{FEW_MARK} n below {FEW} (seeds of an accuracy, processes of FPS): too few to estimate the "
    "spread"
)


@dataclass
class Grid:
    """A laid-out table, the same content as one line per value, and the text around them.

    Lines of `head` that warn are of the type `Caution`.
    """

    title: str
    head: list[str]
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    values: list[dict[str, object]] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)


def write(grid: Grid, style: Format) -> str:
    """`grid` as Markdown, LaTeX, CSV or JSON; the last two hold one line for each value."""
    if style == "json":
        foot_lines = {"foot": grid.foot} if grid.foot else {}
        content = {"title": grid.title, "head": grid.head, **foot_lines, "values": grid.values}
        return json.dumps(content, indent=1)
    if style == "csv":
        return pd.DataFrame(grid.values).to_csv(index=False)
    if style == "github":
        body = tabulate(grid.rows, grid.columns, tablefmt="github", disable_numparse=True)
        foot = [part for line in grid.foot for part in (line, "")]
        return "\n".join(
            [f"### {grid.title}", "", *(f"- {line}" for line in grid.head), "", body, "", *foot]
        )
    if style == "latex":
        body = tabulate(grid.rows, grid.columns, tablefmt="latex_booktabs", disable_numparse=True)
        body = body.replace("±", r"$\pm$").replace(ABSENT, "--")
        body = body.replace(FEW_MARK, r"$^\dagger$")
        body = re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", body)
        comments = [f"% {line}" for line in (grid.title, *grid.head)]
        return "\n".join([*comments, body, *(f"% {line}" for line in grid.foot), ""])
    raise UserError(f"--format: {style!r} is none of {', '.join(FORMATS)}")


def flagged(shown: str, n: int | None) -> str:
    """A mean with the mark of too few values behind it; n None is not known, and not marked."""
    return shown + FEW_MARK if n is not None and n < FEW else shown


def span(numbers: Sequence[int]) -> str:
    """ "5", or "3 to 5"."""
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def listed(words: Sequence[str]) -> str:
    """ "a", or "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def explain_mark(grid: Grid) -> Grid:
    """`grid` with a line in its head where a cell has the mark of too few values."""
    if any(FEW_MARK in cell for row in grid.rows for cell in row):
        grid.head.append(FEW_LINE)
    return grid


def describe(data: Data) -> str:
    """A data set in a few words."""
    match data:
        case SyntheticData():
            return (
                f"embedded benchmark (synthetic), seed {data.seed}, {data.train_videos} training "
                f"and {data.validation_videos} validation videos of {data.frames} "
                f"frame{'s'[: data.frames > 1]} {data.height}x{data.width}"
            )
        case FolderData():
            return data.name
