"""All records as tidy tables, for pandas, R or a spreadsheet."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ifc_bench.config import variant_name
from ifc_bench.records import Record, plain
from ifc_bench.report.frames import footprints_frame
from ifc_bench.report.speeds import profile_frame
from ifc_bench.store import Store

_LEFT_OUT = {"detections", "truths", "marked", "loss", "loss_parts", "accuracy_curve", "processes"}
_NAMES = {
    "training": "trainings",
    "evaluation": "evaluations",
    "profile": "profiles",
    "footprint": "footprints",
    "count": "counts",
    "external": "externals",
}


def frames(store: Store) -> dict[str, pd.DataFrame]:
    """Return a table for each kind of work that has records, one row a record.

    Nested values have names with dots, such as "work.training.seed" and "metrics.AP". Profiles and
    footprints are as in the notebooks, with FPS and peaks.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for record in store.records():
        rows.setdefault(_NAMES[record.work.kind], []).append(_row(record))
    made = {name: pd.json_normalize(found) for name, found in rows.items()}
    derived = {"profiles": profile_frame, "footprints": footprints_frame}
    return {name: derived[name](store) if name in derived else made[name] for name in made}


def _row(record: Record) -> dict[str, Any]:
    content = plain(record)
    work, result, origin = content["work"], content["result"] or {}, content["provenance"]
    training = work.get("training", work)
    return {
        "id": record.id,
        "status": record.status,
        "variant": _variant(record),
        "seed": training.get("seed"),
        "T": work.get("window", work.get("frames")),
        **{name: value for name, value in result.items() if _single(name, value)},
        "device": origin["device"]["name"],
        "created": origin["created"],
        "git_revision": origin["git_revision"],
        "work": {name: value for name, value in work.items() if name != "start"},
    }


def _variant(record: Record) -> str | None:
    work: Any = getattr(record.work, "training", record.work)
    model = getattr(work, "model", None)
    return None if model is None else variant_name(model)


def _single(name: str, value: object) -> bool:
    """Whether a value of a result is a number, a word, or named ones of these."""
    if name in _LEFT_OUT and not isinstance(value, int):
        return False
    return not isinstance(value, list)
