"""Rows whose runs of one seed share a pretraining are compared pair by pair, by design."""

import numpy as np
import pytest
from scipy import stats

from ablations import PRESETS, TABLES
from ifc_bench.config import InterFrame, NoComm
from ifc_bench.recipe import Preset, Row
from ifc_bench.report import statistics
from ifc_bench.report.controls import findings
from ifc_bench.report.crossed import crossed_pairs
from ifc_bench.report.over_videos import over_videos
from ifc_bench.report.results import Results
from ifc_bench.report.significance import significance_grid
from ifc_bench.report.verdict import verdict
from ifc_bench.store import Store
from tests.report.test_controls import (
    BLANK,
    TALKING,
    VIDEOS,
    InMemory,
    evaluation,
    measured,
)
from tests.report.test_tables import accuracy, save

SHARED = PRESETS["full"].model_copy(
    update={
        "pretrain": True,
        "pretrain_module": NoComm(),
        "pretrain_seeds": True,
        "seeds": 5,
        "windows": (5,),
    }
)
BASE = np.array([0.28, 0.33, 0.30, 0.36, 0.25])  # a std of 4.3 points, all from the pretraining
RISE = np.array([0.010, 0.014, 0.012, 0.008, 0.011])


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def filled(store: Store, preset: Preset) -> Results:
    """No Comm as it is, Full THW one point above in every seed."""
    table = TABLES["table3a"](preset)
    for row, values in ((0, BASE), (1, BASE + RISE)):
        for work, value in zip(table.evaluations(preset, table.rows[row], 5), values, strict=True):
            save(store, work, accuracy(value))
    return Results.read(table, preset, store)


def test_pairs_find_what_independent_runs_would_hide(store):
    [found] = filled(store, SHARED).differences
    assert found.pairs
    assert found.tested is found.matched
    assert found.corrected == pytest.approx(stats.ttest_1samp(RISE, 0).pvalue)
    assert found.exceeds
    assert found.free.p > 0.5


@pytest.mark.parametrize(
    "changes",
    [{"pretrain": False}, {"pretrain_seeds": False}],
    ids=["none", "one for all seeds"],
)
def test_without_a_pretraining_of_the_seed_that_both_share_runs_are_independent(store, changes):
    results = filled(store, SHARED.model_copy(update=changes))
    [found] = results.differences
    assert not found.pairs
    assert found.corrected == pytest.approx(found.free.p)
    assert not results.paired("Full THW", "No Comm")


def test_with_one_pretraining_of_each_row_full_thw_and_no_comm_are_still_pairs(store):
    """On one frame they are the same network, so they share it; IFC has its own."""
    results = filled(store, SHARED.model_copy(update={"pretrain_module": None}))
    assert results.paired("Full THW", "No Comm")
    assert not results.paired("IFC", "No Comm")


def test_a_row_with_a_start_of_its_own_is_no_pair(store):
    """The two decoders are pretrained apart, as their weights differ."""
    table = TABLES["decoder"](SHARED)
    results = Results.read(table, SHARED, store)
    first, second = (row.label for row in table.rows[:2])
    assert not results.paired(first, second)


def test_the_text_says_which_test_it_is(store, tmp_path):
    results = filled(store, SHARED)
    grid = significance_grid(results)
    assert "a t-test of pairs, since both runs of a seed start from one pretraining" in grid.head[0]
    assert "unpaired [95%]" in grid.columns
    assert any("std of a paired difference 0.2" in line for line in grid.head)
    assert grid.values[0]["tested"] == "paired"
    [said] = verdict(results)
    least = statistics.detectable(100 * RISE.std(ddof=1), 5, pairs=True)
    assert f"differences above {least:.1f} AP could be seen" in said
    alone = filled(Store(tmp_path / "r", tmp_path), SHARED.model_copy(update={"pretrain": False}))
    grid = significance_grid(alone)
    assert "Welch's test" in grid.head[0]
    assert "paired [95%]" in grid.columns


def test_bold_goes_by_pairs_too(store):
    """Two rows, one better in every pair: bold only where runs are pairs."""
    assert ("Full THW", 5) in filled(store, SHARED).best("AP")


def test_the_power_of_pairs_agrees_with_simulation():
    rng = np.random.default_rng(1)
    seed = rng.normal(0, 5, (4000, 8))
    a, b = (seed + rng.normal(shift, 1, (4000, 8)) for shift in (0.0, 1.5))
    found = np.mean(stats.ttest_rel(a, b, axis=1).pvalue < 0.05)
    std = np.sqrt(2)  # of a difference
    assert statistics.power(1.5, std, 8, pairs=True) == pytest.approx(found, abs=0.02)
    n = statistics.seeds_needed(1.5, std, pairs=True)
    powers = [statistics.power(1.5, std, count, pairs=True) for count in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]


def controlled(store, shifts: dict[str, float], rng, seeds: int = 3) -> Results:
    """Every row on the control: the pretraining's part is larger than all else."""
    preset = SHARED.model_copy(update={"seeds": seeds})
    table = TABLES["table3a"](preset).model_copy(update={"controls": (BLANK,)})
    hard, shared = rng.normal(0.5, 0.1, VIDEOS), rng.normal(0, 0.1, seeds)
    for row in table.rows:
        own = hard + rng.normal(0, 0.02, VIDEOS)
        for work in table.evaluations(preset, row, 5):
            noise = shared[work.training.seed] + rng.normal(0, 0.01) + rng.normal(0, 0.03, VIDEOS)
            value = np.clip(own + noise + shifts.get(row.label, 0.0), 0, 1)
            save(store, work, evaluation(value))
    return Results.read(table, preset, store)


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_the_whole_pipeline_with_a_shared_pretraining_under_simulation(tmp_path, shift):
    """200 sweeps of three seeds: false verdicts without an effect, power with one of 8 points.

    The std over seeds is 10 points, which independent runs could not tell from the effect.
    """
    rng = np.random.default_rng(11)
    found = []
    for _ in range(200):
        results = controlled(InMemory(tmp_path, tmp_path), dict.fromkeys(TALKING, shift), rng)
        words = [row.word for row in findings(results)]
        found.append(
            bool({"helps", "harms"} & set(words)) if shift == 0 else words.count("helps") / 3
        )
    if shift == 0:
        assert np.mean(found) <= 0.05 + 2 * 0.015
    else:
        assert np.mean(found) >= 0.8


def test_over_seeds_and_videos_goes_by_pairs(store):
    results = controlled(store, {}, np.random.default_rng(5), seeds=4)
    a, b = (
        measured([t.result for t in results.tests[row, 5]], "marked IoU", "blank_static")
        for row in ("No Comm", "IFC")
    )
    found = over_videos(results, "IFC", "No Comm", 5, "marked IoU", "blank_static")
    assert found == crossed_pairs(a, b, 16)
    assert found.seed_std < 0.02


def test_one_pair_of_two_trainings_has_no_interval(store):
    """One seed tested twice varies over videos alone; two trainings of one seed are not that."""
    results = controlled(store, {}, np.random.default_rng(6), seeds=1)
    found = over_videos(results, "IFC", "No Comm", 5, "marked IoU", "blank_static")
    assert found is None or found.interval() is None


def test_only_seeds_of_both_rows_count(store):
    """A row with fewer seeds is compared with those of the others that it shares."""
    preset = SHARED.model_copy(update={"seeds": 4})
    table = TABLES["table3a"](preset)
    fewer = table.rows[1].model_copy(update={"most_seeds": 2})
    table = table.model_copy(update={"rows": (table.rows[0], fewer)})
    assert isinstance(fewer, Row)
    for row in table.rows:
        for work in table.evaluations(preset, row, 5):
            rise = RISE[work.training.seed] if row is fewer else 0.0
            save(store, work, accuracy(BASE[work.training.seed] + rise))
    [found] = Results.read(table, preset, store).differences
    assert found.tested.n == (2, 2)
    assert found.tested.mean == pytest.approx(100 * RISE[:2].mean())


def test_ifc_and_no_comm_share_their_pretraining():
    for module in (NoComm(), InterFrame()):
        work = SHARED.pretraining(SHARED.model.model_copy(update={"communication": module}))
        assert work.model.communication == NoComm()
