"""A laid-out table, and how it is written down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from tabulate import tabulate

from ifc_bench.config import Data, FolderData, SyntheticData
from ifc_bench.errors import UserError

FORMATS = ("github", "latex", "csv", "json")
Format = Literal["github", "latex", "csv", "json"]

ABSENT = "–"


@dataclass
class Grid:
    """A laid-out table, and the same content as one line per value."""

    title: str
    head: list[str]
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    values: list[dict[str, object]] = field(default_factory=list)


def write(grid: Grid, style: Format) -> str:
    """`grid` as Markdown, LaTeX, CSV or JSON; the last two hold one line for each value."""
    if style == "json":
        return json.dumps({"title": grid.title, "head": grid.head, "values": grid.values}, indent=1)
    if style == "csv":
        return pd.DataFrame(grid.values).to_csv(index=False)
    if style == "github":
        body = tabulate(grid.rows, grid.columns, tablefmt="github", disable_numparse=True)
        return "\n".join(
            [f"### {grid.title}", "", *(f"- {line}" for line in grid.head), "", body, ""]
        )
    if style == "latex":
        body = tabulate(grid.rows, grid.columns, tablefmt="latex_booktabs", disable_numparse=True)
        body = body.replace("±", r"$\pm$").replace(ABSENT, "--")
        body = re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", body)
        return "\n".join([f"% {grid.title}", *(f"% {line}" for line in grid.head), body, ""])
    raise UserError(f"--format: {style!r} is none of {', '.join(FORMATS)}")


def percent(mean: float, std: float | None) -> str:
    """A number in printed units, with its spread where it has one."""
    return f"{mean:.1f}" if std is None else f"{mean:.1f}±{std:.1f}"


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
