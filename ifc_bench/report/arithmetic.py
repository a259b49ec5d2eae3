"""Arithmetic and compilation behind the numbers of a table, in words.

An accuracy belongs to the arithmetic that it was tested in, as FPS belong to theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from ifc_bench.config import Arithmetic
from ifc_bench.recipe import Row
from ifc_bench.report.cells import Cell
from ifc_bench.report.layout import Caution

_MIXED = ("bf16", "fp16")


def ran_in(precision: Arithmetic, compiled: bool) -> str:
    """Arithmetic and compilation: ", in bf16 (mixed precision), compiled"; "" for fp32 alone."""
    mixed = " (mixed precision)" if precision in _MIXED else ""
    named = "" if precision == "fp32" else f", in {precision}{mixed}"
    return named + (", compiled" if compiled else "")


def apart_lines(rows: Iterable[Row], cells: Iterable[Cell]) -> list[str]:
    """A caution where a row's FPS and its accuracies are not of the same arithmetic."""
    of_label = {row.label: row for row in rows}
    found = []
    for cell in cells:
        test = of_label[cell.row].test(cell.window)
        tested = (test.precision, test.compiled)
        for speed in cell.speeds if any(cell.values.values()) else ():
            measured = (speed.precision, speed.compiled)
            if measured != tested:
                found.append(f"FPS {_words(*measured)} and accuracies {_words(*tested)}")
    told = " or ".join(dict.fromkeys(found))
    if not told:
        return []
    return [Caution(f"warning: {told} are not of one network; measure and test in the same")]


def _words(precision: Arithmetic, compiled: bool) -> str:
    return f"in {precision}{' compiled' if compiled else ''}"
