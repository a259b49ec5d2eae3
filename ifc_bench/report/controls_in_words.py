"""Sentences on what controls found: below their table, and quoted from a committed one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifc_bench.errors import UserError
from ifc_bench.report.controls import Word
from ifc_bench.report.layout import listed

_EFFECTS: dict[str, str] = {
    "helps": "communication helps",
    "harms": "communication harms",
    "equivalent": "communication makes no difference to",
}


@dataclass(frozen=True)
class Answer:
    """The answer to one contrast: `difference` in points; `seeds` of each row, the fewest.

    `isolated`: the row is compared with itself without communication.
    """

    control: str
    isolated: bool
    row: str
    word: str
    difference: float
    seeds: int


def answers(values: Iterable[Mapping[str, Any]], baseline: str | None) -> list[Answer]:
    """The contrasts with no communication, from the values of `controls_grid`."""
    return [
        Answer(
            row["control"],
            row["against"] != baseline,
            row["row"],
            row["verdict"],
            100 * row["difference"],
            min(row["seeds"]),
        )
        for row in values
        if row["seeds"] and row["against"] in (baseline, f"{row['row']}, isolated")
    ]


def committed_answers(path: Path, baseline: str) -> list[Answer]:
    """The same from a table that `report` wrote as JSON; none where it was not written.

    Raises:
        UserError: if the file is not such a table.
    """
    if not path.exists():
        return []
    try:
        return answers(json.loads(path.read_text(encoding="utf-8"))["values"], baseline)
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a table of controls; take it from the repository") from None


def in_words(found: Sequence[Answer]) -> str:
    """Sentences, one for each control and way of comparing; empty without an answer."""
    both = len({one.isolated for one in found}) > 1
    sentences = []
    for control, isolated in dict.fromkeys((one.control, one.isolated) for one in found):
        of_it = [one for one in found if (one.control, one.isolated) == (control, isolated)]
        against = " (the same weights without it)" if both and isolated else ""
        sentences.append(f"In {control}{against}, {_told(of_it)}.")
    return " ".join(sentences)


def _told(found: Sequence[Answer]) -> str:
    words: list[Word] = ["helps", "harms", "equivalent", "cannot tell"]
    parts = []
    for word in words:
        named = [f"{one.row} ({one.difference:+.1f})" for one in found if one.word == word]
        if named:
            effect = _EFFECTS.get(word)
            parts.append(
                f"{effect} {listed(named)}" if effect else f"no verdict on {listed(named)}"
            )
    return ", ".join(parts)
