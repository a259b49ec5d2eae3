"""Statistics against scipy, known values and simulation."""

import numpy as np
import pytest
from scipy import stats

from ablations import PRESETS, TABLES
from ifc_bench.errors import UserError
from ifc_bench.report import differences, render
from ifc_bench.report import statistics as s
from ifc_bench.report.frames import summary_frame
from ifc_bench.report.layout import write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.results import Results, read_results
from ifc_bench.report.significance import compare_paper, paper_grid, significance_grid
from ifc_bench.store import Store
from tests.conftest import ROOT, one_line_error, run_cli
from tests.report.test_tables import accuracy, save

A, B = [30.1, 31.4, 29.2, 30.8, 31.9], [33.0, 32.1, 34.4, 33.3, 31.7]


def summary(values) -> s.Summary:
    found = s.summarise(values)
    assert found is not None
    return found


def test_students_interval_is_scipys():
    low, high = summary(A).interval
    expected = stats.t.interval(0.95, 4, np.mean(A), stats.sem(A))
    assert (low, high) == pytest.approx(expected)
    assert summary([1.0]).interval is None
    assert s.summarise([]) is None
    assert [summary(A[:n]).few for n in (2, 3)] == [True, False]


def test_points_are_hundredths():
    assert s.Summary(5, 0.391, 0.02).points == s.Summary(5, 39.1, 2.0)
    assert s.Summary(1, 0.5, None).points == s.Summary(1, 50.0, None)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_hold_what_they_promise(n):
    """In 95% of 3,000 simulated experiments: Student's, the paired and Welch's interval.

    The Monte-Carlo error is 0.4%. Welch's approximation is a little wide for three runs.
    """
    draws = np.random.default_rng(n).normal(size=(3000, 2, n))
    held = np.zeros(3)
    for a, b in (draws * np.array([1.0, 2.0])[:, None]).tolist():
        pair = s.paired(dict(enumerate(a)), dict(enumerate(b)))
        intervals = summary(a).interval, pair.interval, s.welch(summary(a), summary(b)).interval
        held += [low < 0 < high for low, high in intervals]
    assert held[:2] / 3000 == pytest.approx(0.95, abs=0.012)
    assert 0.94 < held[2] / 3000 < 0.975


def test_welch_is_scipys():
    found = s.welch(summary(A), summary(B))
    expected = stats.ttest_ind(B, A, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.mean == pytest.approx(np.mean(B) - np.mean(A))
    assert found.n == (5, 5)
    assert s.welch(summary([1.0]), summary(B)) == s.Difference(
        (1, 5), np.mean(B) - 1.0, None, None, None
    )
    assert s.welch(summary([1.0, 1.0]), summary([1.0, 1.0])).p == 1.0
    assert s.welch(summary([1.0, 1.0]), summary([2.0, 2.0])) == s.Difference(
        (2, 2), 1.0, (1.0, 1.0), 0.0, None
    )


def test_the_paired_test_is_scipys_over_shared_seeds():
    a, b = dict(enumerate(A)), {**dict(enumerate(B)), 9: 99.0}
    found = s.paired(a, b)
    assert found is not None
    expected = stats.ttest_rel(B, A)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.n == (5, 5)
    small = s.paired(*({seed: value / 100 for seed, value in side.items()} for side in (a, b)))
    assert small is not None
    assert small.p == pytest.approx(expected.pvalue), "the unit does not matter"
    assert s.paired({0: 1.0}, {1: 1.0}) is None
    assert s.paired({0: 1.0}, {0: 3.0}) == s.Difference((1, 1), 2.0, None, None, None)


@pytest.mark.parametrize(("shift", "p"), [(1.0, 0.0), (0.0, 1.0)])
def test_pairs_that_all_differ_alike_are_certain(shift, p):
    found = s.paired({0: 1.0, 1: 2.0, 2: 4.0}, {0: 1.0 + shift, 1: 2.0 + shift, 2: 4.0 + shift})
    assert found is not None
    assert (found.p, found.interval) == (p, (shift, shift))


def test_holm_by_hand():
    assert s.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert s.holm([0.9, 0.8]) == [1.0, 1.0]
    assert s.holm([]) == []


def test_holm_keeps_false_alarms_of_a_whole_table_below_5_percent():
    ps = np.random.default_rng(0).random((4000, 12))
    assert np.mean([min(s.holm(row.tolist())) < 0.05 for row in ps]) == pytest.approx(
        0.05, abs=0.01
    )


def test_hedges_g_by_hand():
    a, b = s.Summary(5, 10.0, 2.0), s.Summary(5, 13.0, 2.0)
    assert s.hedges(a, b) == pytest.approx(1.5 * (1 - 3 / 31))
    assert s.hedges(a, s.Summary(1, 1.0, None)) is None
    assert s.hedges(s.Summary(2, 0.0, 1.0), s.Summary(2, 7.0, 1.0)) == pytest.approx(7 * 4 / 7)
    assert s.hedges(s.Summary(2, 0.0, 0.0), s.Summary(2, 7.0, 0.0)) is None


def test_probability_of_improvement():
    assert s.probability_of_improvement([1, 2], [3, 4]) == 1.0
    assert s.probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert s.probability_of_improvement([1], [2]) == 1.0
    assert s.probability_of_improvement([1, 2], [1, 3]) == (0.5 + 1 + 0 + 1) / 4


def test_power_at_its_limits():
    assert s.power(0.0, 1.0, 8) == pytest.approx(0.05), "both tails"
    assert s.power(0.0, 1.0, 8, alpha=0.01) == pytest.approx(0.01)
    assert [s.power(9.0, std, 1) for std in (1.0, 0.0)] == [0.0, 1.0]
    assert s.power(1.0, 0.0, 5) == 1.0


@pytest.mark.parametrize("n", [2, 3, 8, 50])
def test_power_is_a_number_for_any_difference(n):
    """The noncentral F is another way to the same; 5 stds with 8 runs were NaN."""
    edge = stats.t.ppf(0.975, 2 * n - 2)
    for difference in (0.5, 1, 2, 5, 7, 10, 20, 38, 50, 1000):
        expected = stats.ncf.sf(edge**2, 1, 2 * n - 2, difference**2 * n / 2)
        assert s.power(difference, 1.0, n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_detectable_difference_has_the_power(n):
    found = s.detectable(2.5, n)
    assert s.power(found, 2.5, n) == pytest.approx(0.8)
    assert s.detectable(2.5, n, wanted=0.9) > found
    assert s.detectable(2.5, 1) == float("inf")


def test_power_agrees_with_simulation():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (4000, 8)), rng.normal(1.5, 1, (4000, 8))
    found = np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert s.power(1.5, 1.0, 8) == pytest.approx(found, abs=0.02)


def test_the_seeds_needed_are_the_fewest():
    """Textbook value: 17 seeds per side detect one std with 80% power."""
    assert s.seeds_needed(1.0, 1.0) == 17
    for d in (0.3, 1.0, 2.5):
        n = s.seeds_needed(d, 1.0)
        assert s.power(d, 1.0, n) >= 0.8 > s.power(d, 1.0, n - 1)
    assert s.seeds_needed(1e-6, 1.0, most=100) == 100
    assert s.seeds_needed(100.0, 1.0) == 2


def test_no_difference_in_the_papers_table_3a_exceeds_noise():
    rows = compare_paper(PaperNumbers(), "3a", "No Comm")
    assert len(rows) == 12
    ifc = next(row for row in rows if row.row == "IFC" and row.window == 5)
    assert (ifc.a.mean, ifc.b.mean) == (37.4, 39.0)
    assert ifc.free.p == pytest.approx(0.102, abs=0.001)
    assert not any(row.exceeds for row in rows)


def test_our_rows_are_compared_seed_by_seed(tmp_path):
    preset = PRESETS["full"].model_copy(update={"seeds": 5, "windows": (5,)})
    table, store = TABLES["table3a"](preset), Store(tmp_path, tmp_path)
    for row, values in ((0, A), (3, B)):
        works = table.evaluations(preset, table.rows[row], 5)
        for work, value in zip(works, values, strict=True):
            save(store, work, accuracy(value / 100))
    [found] = Results.read(table, preset, store).differences
    assert (found.row, found.window) == ("IFC", 5)
    assert found.free.mean == pytest.approx(np.mean(B) - np.mean(A))
    assert found.matched.p == pytest.approx(stats.ttest_rel(B, A).pvalue)
    assert found.exceeds
    text = write(significance_grid(Results.read(table, preset, store)), "github")
    assert "1 of 1 differences exceed noise" in text
    assert "seeds a row for 80% power" in text
    assert "| yes " in text


def test_few_seeds_are_flagged(tmp_path):
    preset = PRESETS["full"].model_copy(update={"seeds": 2, "windows": (5,)})
    table, store = TABLES["table3a"](preset), Store(tmp_path, tmp_path)
    for row in (0, 1):
        for work in table.evaluations(preset, table.rows[row], 5):
            save(store, work, accuracy(0.3 + 0.01 * work.training.seed))
    assert "fewer than 3 runs" in write(
        significance_grid(Results.read(table, preset, store)), "github"
    )


def test_the_command():
    done = run_cli("significance", "table3a", "--paper")
    assert done.returncode == 0, done.stderr
    assert "0 of 12 differences exceed noise" in done.stdout
    document = (ROOT / "docs" / "paper_significance.md").read_text(encoding="utf-8")
    everything = run_cli("significance", "table3a", "table3c", "table3d", "--paper").stdout
    assert everything.strip() in document, "what the documentation shows is what comes out"
    refused = run_cli("significance", "decoder", "--paper")
    assert "--paper: decoder: the paper prints no stds for it" in one_line_error(refused)
    preset = PRESETS["full"]
    with pytest.raises(UserError, match="prints no stds"):
        paper_grid(TABLES["table2c"](preset), PaperNumbers())


def test_bold_is_only_what_beats_every_other_row_by_more_than_noise(tmp_path):
    preset = PRESETS["full"].model_copy(update={"seeds": 5, "windows": (5,)})
    table, store = TABLES["table3a"](preset), Store(tmp_path, tmp_path)

    def fill(row: int, shift: float) -> None:
        works = table.evaluations(preset, table.rows[row], 5)
        for work, value in zip(works, A, strict=True):
            save(store, work, accuracy((value + shift) / 100))

    for row, shift in enumerate((0, 0.1, 0.2, 9)):
        fill(row, shift)
    markdown, latex = (
        render(read_results(table, preset, store)),
        render(read_results(table, preset, store), "latex"),
    )
    assert markdown.count("**") == 2 * 2, "AP and AP75 of one row"
    assert r"\textbf{39.7$\pm$1.1}" in latex
    fill(2, 7.0)
    assert "**" in render(read_results(table, preset, store))
    fill(2, 8.9)
    assert "**" not in render(read_results(table, preset, store)), "the second is as good"


def test_bold_is_corrected_over_all_pairs_and_windows(tmp_path):
    """The best is chosen by the data that judge it: 1% in one of 24 pairs is no finding."""
    preset = PRESETS["full"].model_copy(update={"seeds": 5, "windows": (5, 10, 15, 20)})
    table, store = TABLES["table3a"](preset), Store(tmp_path, tmp_path)
    for window in preset.windows:
        for row in range(4):
            shift = 2.2 if (row, window) == (3, 5) else 0.0
            works = table.evaluations(preset, table.rows[row], window)
            for work, value in zip(works, A, strict=True):
                save(store, work, accuracy((value + shift) / 100))
    results = read_results(table, preset, store)
    best, others = results.cells_of(None)[-4], results.cells_of(None)[0]
    p = s.welch(others.summary("AP"), best.summary("AP")).p
    assert 3 * p < 0.05 < 24 * p
    assert "**" not in render(results)


def test_the_pooled_std_counts_the_baseline_once(tmp_path):
    """Three rows against one baseline: four groups of five, by hand."""
    stds = [1.0, 2.0, 3.0, 4.0]
    rows = [
        differences.Comparison(
            row=str(std), window=5, a=s.Summary(5, 0.0, stds[0]), b=s.Summary(5, 0.0, std),
            free=s.Difference((5, 5), 0.0, None, None, None), matched=None, improvement=None,
            corrected=None,
        )
        for std in stds[1:]
    ]  # fmt: skip
    assert differences.pooled_std(rows) == pytest.approx((30 / 4) ** 0.5)


def test_a_summary_keeps_rows_of_the_offline_mode(tmp_path):
    preset = PRESETS["full"].model_copy(update={"seeds": 2})
    table, store = TABLES["table2a"](preset), Store(tmp_path, tmp_path)
    row = next(row for row in table.rows if None in row.windows)
    for work, value in zip(table.evaluations(preset, row, None), (0.3, 0.4), strict=True):
        save(store, work, accuracy(value))
    frame = summary_frame(read_results(table, preset, store))
    assert set(frame["n"]) == {2}
    assert frame["T"].isna().all()
    assert frame.loc[frame["metric"] == "AP", "mean"].item() == pytest.approx(0.35)
