"""A report marks profiles of other machines, and names sections after devices."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.config import Footprint, ModelConfig
from ifc_bench.records import FootprintResult, Record
from ifc_bench.report.publish import publish
from ifc_bench.report.results import read_all
from ifc_bench.store import Store
from tests.report.test_profiles import TURING, V100, process, record
from tests.report.test_tables import accuracy, save

PRESET = PRESETS["full"].model_copy(update={"seeds": 1, "windows": (5,)})
TABLE = TABLES["own"](PRESET)


@pytest.fixture
def report(tmp_path):
    """Make a report with profiles of other directories; return its page and tables."""

    def make(own, *others):
        store = Store(tmp_path / "results", tmp_path / "runs")
        work = TABLE.evaluations(PRESET, TABLE.rows[0], 5)[0]
        save(store, work, accuracy(0.3), device=TURING)
        for one in own:
            store.save(one)
        folders = []
        for name, device in others:
            folders.append(tmp_path / "machines" / name)
            Store(folders[-1], store.runs).save(record([process(1.0)] * 3, device=device))
        publish(read_all([TABLE], PRESET, store), PRESET, store, tmp_path / "out", folders)
        tables = {path.stem: path for path in (tmp_path / "out" / "tables").glob("*.md")}
        page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        return page, {name: path.read_text(encoding="utf-8") for name, path in tables.items()}

    return make


def predicted() -> Record:
    """Return the record of a prediction of `fit`."""
    made = record([process(1.0)], device=TURING)
    work = Footprint(model=ModelConfig(), frames=5, height=360, width=640)
    result = FootprintResult(weights_bytes=1, peak_bytes=2)
    return made.model_copy(update={"work": work, "id": work.id, "result": result})


def test_another_device_is_marked_in_title_table_and_warnings(report):
    page, tables = report([], ("somebodys-card", V100))
    line = (
        f"not measured here: from the directory somebodys-card; these records were made on {TURING}"
    )
    assert f"Speed and memory: {V100} (not measured here)" in page
    assert f"- {line}" in tables["tesla-v100-sxm2-32gb-profile"].splitlines()
    assert f"Speed and memory: {line}" in page, "among the warnings"


def test_a_device_of_the_same_name_is_named_without_a_warning(report):
    page, tables = report([], ("mine", TURING))
    assert "not measured here" not in page
    [table] = [text for name, text in tables.items() if name.endswith("-profile")]
    assert "- from the directory mine; a device of the same name made these records" in table


def test_sections_are_named_after_devices_and_never_alike(report):
    page, tables = report([record([process(1.0)] * 3)], ("results", TURING), ("other", TURING))
    names = {name for name in tables if name.endswith("-profile")}
    base = "nvidia-geforce-rtx-2080-ti"
    assert names == {f"{base}-profile", f"{base}-2-profile", f"{base}-3-profile"}
    assert "results-profile" not in page
    assert "from the folder" not in tables[f"{base}-profile"], "the report's own"
    assert page.count(f'id="{base}"') == 1


def test_a_prediction_of_fit_is_labelled_as_one(report):
    page, tables = report([predicted()])
    assert "Memory, predicted for GPUs" in page
    assert "Speed and memory: results" not in page
    assert "predicted-fit" in tables


def test_the_page_has_the_verdict_below_its_table(report):
    page, tables = report([])
    said = "Verdict: none; no row can be compared with No Comm yet."
    assert f"<p>{said}</p>" in page
    assert tables["own"].strip().endswith(said)
