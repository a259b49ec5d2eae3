"""Cells show the number of seeds of a mean, and failed seeds."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.records import Device, EvaluationResult, ProfileResult, Status, TrainingResult
from ifc_bench.report import render
from ifc_bench.report.results import read_results
from ifc_bench.store import Store
from tests.report.test_profiles import process
from tests.report.test_tables import accuracy, save

PRESET = PRESETS["full"].model_copy(update={"seeds": 5, "windows": (5,)})
TABLE = TABLES["table3a"](PRESET)
MARK = "- † n below 3 (seeds of an accuracy, processes of FPS): too few to estimate the spread"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, tmp_path / "runs")


def fill(store: Store, row: int, values: list[float], lost: Status = "diverged") -> None:
    """Save the first seeds of a row with these APs; the remaining seeds fail."""
    works = TABLE.evaluations(PRESET, TABLE.rows[row], 5)
    for work, value in zip(works, values, strict=False):
        save(store, work, accuracy(value))
    nothing = TrainingResult(
        loss=[None], loss_parts={}, accuracy_curve=[], parameters=1, wall_seconds=1, diverged_at=0
    )
    for work in works[len(values) :]:
        save(store, work.training, nothing if lost == "diverged" else None, lost)


def cells(text: str, row: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {row} ")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_a_mean_after_failed_seeds_shows_its_n(store):
    fill(store, 0, [0.30, 0.31, 0.32, 0.33, 0.34])
    fill(store, 1, [0.30, 0.32, 0.37])
    fill(store, 2, [], "out_of_memory")
    text = render(read_results(TABLE, PRESET, store))
    assert (
        "- n = 5 training runs; ± is the sample std over seeds; cells with fewer print their n"
        in text
    )
    assert cells(text, "No Comm")[0] == "32.0±1.6"
    assert cells(text, "Full THW")[0] == "33.0±3.6 (n=3, 2 diverged)"
    assert cells(text, "Decomp T-HW")[0] == "– (5 out of memory)"
    assert "†" not in text
    assert ",2 diverged" in render(read_results(TABLE, PRESET, store), "csv")


def test_seeds_that_have_not_run_are_not_failures(store):
    for row, count in ((0, 5), (1, 3)):
        works = TABLE.evaluations(PRESET, TABLE.rows[row], 5)
        for work in works[:count]:
            save(store, work, accuracy(0.3))
    text = render(read_results(TABLE, PRESET, store))
    assert cells(text, "Full THW")[0] == "30.0±0.0 (n=3)"
    assert cells(text, "IFC")[0] == "–"


@pytest.mark.parametrize(("count", "shown"), [(2, "30.5±0.7†"), (1, "30.0†"), (3, "31.0±1.0")])
def test_fewer_than_three_seeds_are_marked(store, count, shown):
    works = TABLE.evaluations(PRESET, TABLE.rows[0], 5)
    for work, value in zip(works[:count], (0.30, 0.31, 0.32), strict=False):
        save(store, work, accuracy(value))
    text = render(read_results(TABLE, PRESET, store))
    assert cells(text, "No Comm")[0] == shown
    assert (MARK in text.splitlines()) == (count < 3)
    assert ("± is" in text) == (count > 1), "one seed promises no spread"
    assert ("$^\\dagger$" in render(read_results(TABLE, PRESET, store), "latex")) == (count < 3)
    stds = render(read_results(TABLES["table4a"](PRESET), PRESET, store))
    assert cells(stds, "No Comm")[0] == {1: "–†", 2: "0.7†", 3: "1.0"}[count]


def test_few_processes_have_the_same_mark(store):
    card = Device(kind="cuda", name="a GPU")
    for row, count in ((0, 2), (1, 3)):
        work = TABLE.profile(PRESET, TABLE.rows[row], 5, card)
        assert work is not None
        result = ProfileResult(frames=[20], processes=[process(1.0)] * count)
        save(store, work, result, device=card)
    text = render(read_results(TABLE, PRESET, store))
    assert cells(text, "No Comm")[-1] == "20.0±0.0†"
    assert cells(text, "Full THW")[-1] == "20.0±0.0"


def test_a_table_of_methods_marks_ours_alone(store):
    table = TABLES["table2a"](PRESET)
    for work in table.evaluations(PRESET, table.rows[0], 5)[:2]:
        save(store, work, accuracy(0.3))
    text = render(read_results(table, PRESET, store))
    marked = [line for line in text.splitlines() if "†" in line and line.startswith("|")]
    assert [line.split("|")[2].strip() for line in marked] == ["ours"]
    assert MARK in text.splitlines()
    assert "incomplete: of 10 evaluations of ours, 8 not run" in text


def test_a_metric_that_a_record_does_not_have_is_a_dash(store):
    """As in a record of an older version."""
    works = TABLE.evaluations(PRESET, TABLE.rows[0], 5)
    for work in works:
        older = EvaluationResult(
            metrics={"AP": 0.3},
            by_class={},
            by_situation={"blur": {"AP": 0.2}},
            videos=1,
            frames=1,
            tracks=1,
            wall_seconds=1.0,
        )
        save(store, work, older)
    text = render(read_results(TABLE, PRESET, store))
    assert cells(text, "No Comm")[:2] == ["30.0±0.0", "–"]
    narrow = render(read_results(TABLE, PRESET, store), situation="blur")
    assert cells(narrow, "No Comm")[:2] == ["20.0±0.0", "–"]
