"""The line of docs/results.md that reads all records in DuckDB."""

import re

import pytest

from ifc_bench.store import Store
from tests.conftest import ROOT

duckdb = pytest.importorskip("duckdb")


def test_one_line_reads_all_evaluations(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = re.search(r'duckdb -c "(.+)"', (ROOT / "docs" / "results.md").read_text())
    assert found
    rows = duckdb.sql(found[1]).fetchall()
    records = list(Store(ROOT / "results" / "baseline", ROOT).records("evaluation"))
    assert sum(n for *_, n, _ in rows) == len(records)
    at = {(module, window): ap for module, window, _, ap in rows}
    for module in ("none", "full"):
        known = [
            100 * record.result.metrics["AP"]
            for record in records
            if record.work.training.model.communication.kind == module and record.work.window == 5
        ]
        assert at[module, 5] == pytest.approx(sum(known) / len(known))
