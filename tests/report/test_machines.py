"""The committed profiles and footprints are clean and labelled, and their tables current."""

import shutil

import pytest

from ifc_bench.config import Footprint
from ifc_bench.records import FootprintResult, ProfileResult
from ifc_bench.report.folder_check import contents, faults
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.roofline import roofline_frame
from ifc_bench.store import Store
from tests.conftest import ROOT, one_line_error, run_cli
from tests.report.test_profiles import process
from tests.report.test_profiles import record as profile_record

MACHINES = sorted((ROOT / "results" / "machines").iterdir())


def check_records(folder):
    """Check that records are clean, measured profiles have scopes, and the table is current."""
    store = Store(folder, ROOT / "runs")
    records = list(store.records("profile", "footprint", "count"))
    assert records
    assert faults(store) == []
    assert not [r.id for r in records if r.provenance.git_dirty]
    assert {r.status for r in records} <= {"ok", "out_of_memory"}
    roofs = roofline_frame(store)
    measured = [r for r in store.records("profile") if r.status == "ok"]
    assert len(roofs) == 4 * len(measured), "four scopes of each"
    text = render_profiles(store.records("profile"), paper=PaperNumbers())
    assert text == (folder / "tables" / "profile.md").read_text(encoding="utf-8")
    kinds = {r.provenance.device.kind for r in store.records("profile")}
    assert ("no number here is a GPU's" in text) == ("cpu" in kinds)


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_records_are_clean_and_tables_are_current(folder):
    check_records(folder)


def test_a_profile_that_ran_out_of_memory_may_be_committed(tmp_path):
    """Such a profile has no scopes, but is a valid result."""
    folder = shutil.copytree(MACHINES[0], tmp_path / "machine")
    store = Store(folder, ROOT / "runs")
    done = next(iter(store.records("profile")))
    work = done.work.model_copy(update={"device": "a small GPU"})
    lost = ProfileResult(frames=done.result.frames, processes=[], asked_bytes=2 << 30)
    changes = {"id": work.id, "work": work, "status": "out_of_memory", "result": lost}
    store.save(done.model_copy(update=changes))
    text = render_profiles(store.records("profile"), paper=PaperNumbers())
    (folder / "tables" / "profile.md").write_text(text, encoding="utf-8")
    check_records(folder)


def test_doctor_checks_a_folder_before_it_is_committed(tmp_path):
    folder = shutil.copytree(MACHINES[0], tmp_path / "machine")
    done = run_cli("doctor", "--device", "cpu", "--check", str(folder))
    assert done.returncode == 0
    assert f"{contents(Store(folder, folder))}; nothing keeps it" in done.stdout
    (folder / "tables" / "profile.md").write_text("edited")
    message = one_line_error(run_cli("doctor", "--device", "cpu", "--check", str(folder)))
    assert "profile.md: is not the table of these records; run `profile` again" in message
    assert "no directory profiles" in one_line_error(
        run_cli("doctor", "--device", "cpu", "--check", str(tmp_path))
    )


def test_faults_of_a_folder_are_named(tmp_path):
    store = Store(tmp_path, tmp_path)
    made = profile_record([process(1.0)])
    dirty = made.provenance.model_copy(update={"git_dirty": True})
    store.save(made.model_copy(update={"provenance": dirty}))
    lost = profile_record([], window=10, status="failed", result=None, error="a fault")
    store.save(lost)
    found = "\n".join(faults(store))
    assert f"profile {made.id}: was measured on code that no commit holds" in found
    assert f"profile {lost.id}: failed; run the command again" in found
    assert "counts are missing for some profiles" in found
    assert "tables/profile.md: is missing" in found


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_predictions_are_within_5_percent_of_what_was_measured(folder):
    store = Store(folder, ROOT / "runs")
    pairs = 0
    for record in store.records("footprint"):
        work, result = record.work, record.result
        assert isinstance(work, Footprint)
        if work.measured_on is None or work.allocator != "cpu" or record.status != "ok":
            continue
        predicted = store.load(work.model_copy(update={"measured_on": None, "emulated": None}))
        assert predicted is not None
        assert isinstance(result, FootprintResult)
        assert isinstance(predicted.result, FootprintResult)
        assert predicted.result.peak_bytes == pytest.approx(result.peak_bytes, rel=0.05)
        pairs += 1
    assert pairs >= 32 or "intel" not in folder.name, "four variants, four T, two attentions"
