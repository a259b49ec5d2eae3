"""The committed records: complete, clean, and what the committed tables say."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.report import render
from ifc_bench.store import Store
from tests.conftest import ROOT

BASELINE = ROOT / "results" / "baseline"
STORE = Store(BASELINE, ROOT / "runs")
FIVE_SEEDS = PRESETS["quick"].model_copy(update={"seeds": 5})


def test_every_record_is_readable_and_from_a_clean_tree():
    records = list(STORE.records())
    assert len(records) > 100
    assert {record.status for record in records} == {"ok"}
    assert not [r.id for r in records if r.provenance.git_dirty]


@pytest.mark.parametrize("name", ["table1", "table2c", "table2d", "table3a", "table3b"])
def test_committed_tables_are_what_the_records_say(name):
    text = render(TABLES[name](FIVE_SEEDS), FIVE_SEEDS, STORE)
    assert "incomplete" not in text
    assert text == (BASELINE / "tables" / f"{name}-quick.md").read_text(encoding="utf-8")


def test_table_3a_has_five_seeds():
    text = render(TABLES["table3a"](FIVE_SEEDS), FIVE_SEEDS, STORE)
    assert "n = 5 trainings" in text
    assert text in (ROOT / "README.md").read_text(encoding="utf-8")
