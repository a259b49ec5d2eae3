"""The committed profiles and footprints: clean, labelled, and what the committed tables say."""

import pytest

from ifc_bench.config import Footprint
from ifc_bench.records import FootprintResult
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.roofline import roofline_frame
from ifc_bench.store import Store
from tests.conftest import ROOT

MACHINES = sorted((ROOT / "results" / "machines").iterdir())


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_records_are_clean_and_tables_are_current(folder):
    store = Store(folder, ROOT / "runs")
    records = list(store.records("profile", "footprint", "count"))
    assert records
    assert not [r.id for r in records if r.provenance.git_dirty]
    assert {r.status for r in records} <= {"ok", "out_of_memory"}
    roofs = roofline_frame(store)
    assert len(roofs) == 4 * len(list(store.records("profile"))), "four scopes of each"
    text = render_profiles(store.records("profile"), paper=PaperNumbers())
    assert text == (folder / "tables" / "profile.md").read_text(encoding="utf-8")
    kinds = {r.provenance.device.kind for r in store.records("profile")}
    assert ("no number here is a card's" in text) == ("cpu" in kinds)


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_predictions_are_within_5_percent_of_what_was_measured(folder):
    store = Store(folder, ROOT / "runs")
    pairs = 0
    for record in store.records("footprint"):
        work, result = record.work, record.result
        assert isinstance(work, Footprint)
        if work.measured_on is None or work.allocator != "cpu":
            continue
        predicted = store.load(work.model_copy(update={"measured_on": None, "emulated": None}))
        assert predicted is not None
        assert isinstance(result, FootprintResult)
        assert isinstance(predicted.result, FootprintResult)
        assert predicted.result.peak_bytes == pytest.approx(result.peak_bytes, rel=0.05)
        pairs += 1
    assert pairs >= 32 or "amd" not in folder.name, "four variants, four T, two attentions"
