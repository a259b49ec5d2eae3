"""The committed records are clean and complete, and the committed report is current."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablations import PRESETS, TABLES
from ifc_bench.report import render
from ifc_bench.report.layout import write
from ifc_bench.report.publish import publish
from ifc_bench.report.quantities import ACCURACY
from ifc_bench.report.results import Results, read_all, read_results
from ifc_bench.report.significance import situation_grid
from ifc_bench.store import Store
from tests.conftest import ROOT

BASELINE = ROOT / "results" / "baseline"
STORE = Store(BASELINE, ROOT / "runs")
FULL = PRESETS["full"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "baseline.md").read_text(encoding="utf-8")
MACHINES = sorted((ROOT / "results" / "machines").iterdir())


def reported() -> list[str]:
    """The tables that `make report` names."""
    found = re.search(r"report ((?:\w+ )+)--preset full", (ROOT / "Makefile").read_text())
    assert found
    return found[1].split()


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """Make the report again, as `make report` does."""
    out = tmp_path_factory.mktemp("report")
    publish(
        read_all([TABLES[name](FULL) for name in reported()], FULL, STORE),
        FULL,
        STORE,
        out,
        MACHINES,
    )
    return out


def alike(fresh: Path, committed: Path, remedy: str) -> None:
    """Compare pixels with a tolerance: another matplotlib may move a letter by a pixel."""
    with Image.open(fresh) as a, Image.open(committed) as b:
        assert a.size == b.size
        difference = np.abs(np.asarray(a.convert("L"), int) - np.asarray(b.convert("L"), int))
    assert difference.mean() < 2, f"{committed.name}: run `{remedy}`"


def test_every_record_is_readable_and_from_a_clean_tree():
    records = list(STORE.records())
    assert len(records) > 100
    assert {record.status for record in records} == {"ok"}
    assert not [r.id for r in records if r.provenance.git_dirty]


def test_the_committed_tables_are_current(again):
    committed = BASELINE / "report" / "tables"
    names = {path.name for path in (again / "tables").iterdir()}
    assert names == {path.name for path in committed.iterdir()}, "run `make report`"
    for name in sorted(names):
        fresh = (again / "tables" / name).read_text(encoding="utf-8")
        assert fresh == (committed / name).read_text(encoding="utf-8"), f"{name}: run `make report`"


def test_the_committed_figures_are_current(again):
    committed = BASELINE / "report" / "figures"
    names = {path.name for path in (again / "figures").glob("*.png")}
    assert names == {path.name for path in committed.glob("*.png")}, "run `make report`"
    for name in sorted(names):
        alike(again / "figures" / name, committed / name, "make report")


def test_the_committed_strips_are_current(tmp_path):
    bin_folder = Path(sys.executable).parent
    values = f"BIN={bin_folder}", "READY=", f"SCENES={tmp_path}/scenes", f"PICTURES={tmp_path}/new"
    subprocess.run(["make", "pictures", *values], cwd=ROOT, check=True, capture_output=True)
    fresh = sorted((tmp_path / "new").rglob("*.png"))
    assert len(fresh) == 2
    for path in fresh:
        alike(path, BASELINE / "pictures" / path.relative_to(tmp_path / "new"), "make pictures")


def test_the_committed_page_is_current(again):
    def without_pictures(path):
        text = (path / "index.html").read_text(encoding="utf-8")
        return re.sub(r"data:image/png;base64,[^\"]+", "", text)

    assert without_pictures(again) == without_pictures(BASELINE / "report"), "run `make report`"


def test_lost_frames_show_a_difference():
    """In lost frames an object can only be found from other frames: a positive control."""
    found = Results.read(TABLES["table3a"](FULL), FULL, STORE).by_situation
    assert len(found) == 6 * 3 * 4
    assert all(one.free.p <= one.corrected for one in found)
    showing = {(one.situation, one.row, one.window): one for one in found if one.exceeds}
    decomposed = showing["lost_frames", "Decomp T-HW", 5]
    cells = Results.read(TABLES["table3a"](FULL), FULL, STORE).cells_of("lost_frames")
    means = {cell.row: cell.summary("AP").mean for cell in cells if cell.window == 5}
    difference = 100 * (means["Decomp T-HW"] - means["No Comm"])
    assert decomposed.free.mean == pytest.approx(difference)
    assert difference > 5
    told = write(situation_grid(Results.read(TABLES["table3a"](FULL), FULL, STORE)), "github")
    assert f"{len(showing)} of 72 differences exceed noise" in told


def test_table_3a_has_five_seeds_and_is_on_the_page_of_the_baseline():
    text = render(read_results(TABLES["table3a"](FULL), FULL, STORE))
    assert "n = 5 training runs" in text
    assert "incomplete" not in text
    assert text in PAGE


@pytest.mark.parametrize("name", ["table2c", "table3b"])
def test_the_tables_at_quick_have_five_seeds(name):
    """`report table2c table3b --preset quick --seeds 5 --results results/baseline`."""
    quick = PRESETS["quick"].model_copy(update={"seeds": 5})
    text = render(read_results(TABLES[name](quick), quick, STORE))
    assert "n = 5 training runs" in text
    assert "incomplete" not in text


@pytest.mark.parametrize("name", ["table2d", "table3c", "table3d", "decoder"])
def test_the_other_tables_have_five_seeds_and_no_difference(name):
    text = render(read_results(TABLES[name](FULL), FULL, STORE))
    assert "n = 5 training runs" in text
    assert "incomplete" not in text
    if name != "decoder":
        rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
        assert rows in PAGE
    if name != "table2d":
        assert not [
            c for c in Results.read(TABLES[name](FULL), FULL, STORE).differences if c.exceeds
        ]


def test_the_readme_claims_no_more_than_lost_frames_show():
    """It claims one variant at one window, and prints IFC's differences next to it."""
    found = [
        one
        for one in Results.read(TABLES["table3a"](FULL), FULL, STORE).by_situation
        if one.situation == "lost_frames"
    ]
    assert [(one.row, one.window) for one in found if one.exceeds] == [("Decomp T-HW", 5)]
    ifc = [f"{one.free.mean:+.1f}" for one in found if one.row == "IFC"]
    told = f"{', '.join(ifc[:-1])} and {ifc[-1]} AP at T = 5, 10, 15 and 20"
    for document in ("docs/baseline.md", "docs/embedded_benchmark.md"):
        assert told in " ".join((ROOT / document).read_text(encoding="utf-8").split()), document
    readme = " ".join(README.split())
    above, p = found[1].free.mean, found[1].corrected
    assert f"Decomp T-HW is {above:.1f} AP above No Comm, beyond noise (p = {p:.3f}" in readme
    assert f"IFC {-found[2].free.mean:.1f} below it, which is noise" in readme


def test_the_table_of_the_readme_matches_the_records():
    results = Results.read(TABLES["table3a"](FULL), FULL, STORE)
    cells = {(cell.row, cell.window): cell for cell in results.cells}
    lost = {(cell.row, cell.window): cell for cell in results.cells_of("lost_frames")}
    for row in dict.fromkeys(cell.row for cell in results.cells):
        numbers = [
            ACCURACY.with_spread(100 * summary.mean, 100 * summary.std)
            for summary in (
                cells[row, 5].summary("AP"),
                cells[row, 20].summary("AP"),
                lost[row, 5].summary("AP"),
            )
        ]
        shown = [row, *numbers, cells[row, 5].speeds[0].shown]
        assert shown in [
            [cell.strip() for cell in line.strip("| ").split("|")] for line in README.splitlines()
        ]
    assert not [one for one in results.differences if one.exceeds], "no variant differs"
    assert len(results.by_situation) == 72


def test_speed_over_windows_is_compared_by_their_time():
    cells = Results.read(TABLES["table3a"](FULL), FULL, STORE).cells
    speeds = {(cell.row, cell.window): cell.speeds[0] for cell in cells}
    taken = {
        place: 1000 * speed.reading.frames[0] / speed.fps / speed.reading.mean
        for place, speed in speeds.items()
    }
    full, none = ([taken[row, t] for t in (5, 20)] for row in ("Full THW", "No Comm"))
    told = " ".join(PAGE.split())
    first, last = (f"{a / b:.1f} times" for a, b in zip(full, none, strict=True))
    assert (
        f"takes {first} as long as No Comm at T = 5 ({full[0]:.1f} and {none[0]:.1f} ms a window) "
        f"and {last} at T = 20 ({full[1]:.1f} and {none[1]:.1f} ms)"
    ) in told
    fewer = [1 - speeds["IFC", t].fps / speeds["No Comm", t].fps for t in FULL.windows]
    assert f"IFC has {100 * min(fewer):.0f} to {100 * max(fewer):.0f}% fewer frames" in told
