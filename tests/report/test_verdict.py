"""The verdict below a table claims only what its records support."""

import json

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.config import FolderData
from ifc_bench.report.results import Results, read_results
from ifc_bench.report.statistics import detectable, power
from ifc_bench.report.verdict import verdict
from ifc_bench.store import Store
from tests.conftest import ROOT
from tests.report.test_tables import accuracy, save

BASELINE = ROOT / "results" / "baseline"
FULL = PRESETS["full"]
APART = [0.000, 0.010, 0.020, 0.005, 0.015]  # a std of 0.8 points


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def filled(store, seeds=5, preset="quick", shift=0.0, rows=(0, 1, 2, 3), **changes):
    """Save Table 3(a) at T = 5: rows around 30 AP, and IFC `shift` away from them."""
    made = PRESETS[preset].model_copy(update={"seeds": seeds, "windows": (5,), **changes})
    table = TABLES["table3a"](made)
    for row in rows:
        works = table.evaluations(made, table.rows[row], 5)
        for work, apart in zip(works, APART, strict=False):
            save(store, work, accuracy(0.30 + apart + 0.0001 * row + (shift if row == 3 else 0)))
    return table, made


def told(table, preset, store, *options):
    [line] = verdict(read_results(table, preset, store), *options)
    return line


def test_five_seeds_without_a_difference(store):
    assert told(*filled(store), store) == (
        "Verdict: none of 3 differences to No Comm exceeds noise; with n = 5 only differences "
        "above 1.6 AP could be seen (80% power, std 0.8)."
    )
    assert power(1.6, 0.79, 5) == pytest.approx(0.8, abs=0.02)


def test_five_seeds_with_a_difference(store):
    said = told(*filled(store, shift=0.1), store)
    assert said.startswith(
        "Verdict: 1 of 3 differences to No Comm exceeds noise: IFC at T = 5 (+10.0 AP); with n = 5 "
    )


def test_two_seeds_cannot_tell(store):
    said = told(*filled(store, seeds=2), store)
    assert said == (
        "Verdict: cannot tell; with n = 2 only differences above 4.0 AP could be seen "
        "(80% power, std 0.7)."
    )


def test_two_seeds_that_differ_are_reported_with_a_caveat(store):
    said = told(*filled(store, seeds=2, shift=0.3), store)
    assert "1 of 3 differences to No Comm exceeds noise: IFC at T = 5 (+30.0 AP)" in said
    assert said.endswith(", but with n = 2 a std is hardly known.")


def test_one_seed_gives_no_verdict(store):
    assert told(*filled(store, seeds=1, shift=0.3), store) == (
        "Verdict: none; a single seed cannot tell a difference to No Comm from noise (n = 1)."
    )


def test_a_row_of_one_seed_beside_others(store):
    table, preset = filled(store, rows=(0, 1, 2))
    save(store, table.evaluations(preset, table.rows[3], 5)[0], accuracy(0.9))
    said = told(table, preset, store)
    assert "none of 2 differences to No Comm exceeds noise" in said
    assert said.endswith("1 more cannot be tested (a single seed).")


def test_without_the_baseline_row_there_is_no_verdict(store):
    said = told(*filled(store, rows=(1, 2, 3)), store)
    assert said == "Verdict: none; no row can be compared with No Comm yet."


def test_a_table_without_a_baseline_has_no_verdict(store):
    for name in ("table1", "table2a", "table2d"):
        assert verdict(read_results(TABLES[name](FULL), FULL, store)) == []


def test_smoke_proves_only_that_it_runs(store):
    said = told(*filled(store, preset="smoke", shift=0.3), store)
    assert said == "Verdict: none; preset smoke proves only that it runs."


def test_equal_seeds_give_no_smallest_detectable_difference(store):
    table, preset = filled(store, rows=())
    for row in table.rows:
        for work in table.evaluations(preset, row, 5):
            save(store, work, accuracy(0.0))
    assert told(table, preset, store) == (
        "Verdict: none of 3 differences to No Comm exceeds noise."
    )


def committed(name="table3a"):
    return Results.read(TABLES[name](FULL), FULL, Store(BASELINE, ROOT / "runs"))


THEIRS = (
    "The committed baseline (preset full, n = 5) says: none of 12 differences to No Comm exceeds "
    "noise."
)


def test_the_committed_baseline_is_quoted_beside_fewer_seeds(store):
    table, preset = filled(store, seeds=2)
    assert told(table, preset, store, None, committed()).endswith(f"std 0.7). {THEIRS}")


def test_the_committed_baseline_is_not_quoted_where_it_adds_nothing(store):
    table, preset = filled(store, preset="full")
    assert "committed" not in told(table, preset, store, None, committed())
    own = Results.read(committed().table, FULL, Store(store.results / "none", store.runs))
    table, preset = filled(store, seeds=2)
    assert "committed" not in told(table, preset, store, None, own), "no records, no verdict"
    real = FolderData(name="mine", train="a", valid="b")
    video = PRESETS["quick"].video.model_copy(update={"data": real})
    table, preset = filled(store, seeds=2, video=video)
    assert "committed" not in told(table, preset, store, None, committed()), "other data"


def test_a_situation_is_corrected_over_all_of_them():
    """The correction is that of `significance --by-situation`: 12 of its 72 tests."""
    there = committed()
    said = told(there.table, FULL, Store(BASELINE, ROOT / "runs"), "lost_frames")
    assert said.startswith(
        "Verdict: 1 of 12 differences to No Comm exceeds noise: Decomp T-HW at T = 5 (+8.6 AP)"
    )
    said = told(there.table, FULL, Store(BASELINE, ROOT / "runs"), "overlap")
    assert said.startswith("Verdict: none of 12 differences"), "p is 0.02 before correction"


def test_a_detectable_difference_has_the_wanted_power():
    for n in (2, 3, 5, 20):
        assert power(detectable(2.2, n), 2.2, n) == pytest.approx(0.8, abs=1e-6)
    assert detectable(2.2, 1) == float("inf")


@pytest.mark.parametrize("style", ["github", "latex", "json", "csv"])
def test_report_prints_the_verdict_below_the_table(store, capsys, style):
    filled(store, seeds=2)
    options = ["--window=5", f"--results={store.results}", f"--format={style}"]
    assert main(TABLES, PRESETS, ["report", "table3a", *options]) == 0
    said = capsys.readouterr().out
    if style == "json":
        assert THEIRS in json.loads(said)["foot"][0]
    elif style == "latex":
        assert said.strip().splitlines()[-1].startswith("% Verdict: cannot tell;")
    elif style == "github":
        assert said.strip().splitlines()[-1].startswith("Verdict: cannot tell;")
    else:
        assert "Verdict" not in said, "one line for each value"
