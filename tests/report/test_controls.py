"""Controls: the measure of each, the verdict in words, and the whole pipeline under simulation."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.errors import UserError
from ifc_bench.recipe import Contrast, Control, Preset, Row, Table
from ifc_bench.records import Detections, EvaluationResult, IdentityOracle, MarkedTruths, Truths
from ifc_bench.report.controls import Finding, controls_grid, findings, needed
from ifc_bench.report.controls_in_words import answers, committed_answers, in_words
from ifc_bench.report.crossed import Crossed, Scores, crossed, crossed_pairs
from ifc_bench.report.layout import write
from ifc_bench.report.measures import scores, videos_of
from ifc_bench.report.oracle import has_oracle, oracle_grid
from ifc_bench.report.over_videos import over_videos
from ifc_bench.report.results import Results
from ifc_bench.report.significance import significance_grid
from ifc_bench.store import Store
from tests.report.test_tables import NAMES, save

VIDEOS = 24
TALKING = ("Decomp T-HW", "Full THW", "IFC")
SITUATIONS = {"blank_static": list(range(1, 17)), "direction": list(range(17, 25))}
FULL = PRESETS["full"]
PLAIN = TABLES["table3a"]


def evaluation(iou: np.ndarray, right: np.ndarray | None = None) -> EvaluationResult:
    """One truth a video, with that marked IoU; its track is hit at 0.5 where the IoU is larger."""
    ids = list(range(1, VIDEOS + 1))
    right = np.ones(VIDEOS, bool) if right is None else right
    hits = [int(value > 0.5) for value in iou]
    return EvaluationResult(
        metrics=dict.fromkeys(NAMES, 0.3),
        by_class={},
        by_situation={name: dict.fromkeys(NAMES, 0.3) for name in SITUATIONS},
        videos=VIDEOS,
        frames=VIDEOS,
        tracks=VIDEOS,
        wall_seconds=1.0,
        situations=SITUATIONS,
        detections=Detections(
            video=ids, category=[1] * VIDEOS, score=iou.tolist(), hits=hits,
            ignored=[0] * VIDEOS, error=["" if hit else "localisation" for hit in hits], truth=ids,
        ),
        truths=Truths(
            id=ids, video=ids, category=[1] * VIDEOS, crowd=[False] * VIDEOS, hits=hits
        ),
        marked=MarkedTruths(
            id=ids,
            iou=[None if video in SITUATIONS["direction"] else float(value)
                 for video, value in zip(ids, iou, strict=True)],
            clear_iou=[1.0] * VIDEOS,
            category=[1 if good else 2 for good in right],
        ),
    )  # fmt: skip


def measured(results, measure, situation):
    """The scores on all videos of a situation."""
    return scores(results, measure, videos_of(results, situation))


def table(*controls: Control, preset: Preset = FULL) -> Table:
    """Table 3(a) with controls."""
    return PLAIN(preset).model_copy(update={"controls": controls})


BLANK = Control(
    situation="blank_static",
    measure="marked IoU",
    contrasts=tuple(
        Contrast(row=row, against="No Comm", expected=expected)
        for row, expected in (("Decomp T-HW", "above"), ("Full THW", "above"), ("IFC", "equal"))
    ),
    reason="grey",
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def fill(
    store, shifts: dict[str, float], rng, seeds: int = 5, made: Table | None = None
) -> Results:
    """Every row at T = 5: videos are hard for all, a little harder for a row, seeds differ."""
    preset = FULL.model_copy(update={"seeds": seeds, "windows": (5,)})
    made = made or table(BLANK, preset=preset)
    hard = rng.normal(0.5, 0.1, VIDEOS)
    for row in made.rows:
        own = hard + rng.normal(0, 0.02, VIDEOS)
        for work in made.evaluations(preset, row, 5):
            noise = rng.normal(0, 0.02) + rng.normal(0, 0.03, VIDEOS)
            value = np.clip(own + noise + shifts.get(row.label, 0.0), 0, 1)
            save(store, work, evaluation(value))
    return Results.read(made, preset, store)


def test_measures_by_hand(store):
    iou = np.linspace(0.1, 0.9, VIDEOS)
    right = np.arange(VIDEOS) % 4 > 0
    result = evaluation(iou, right)
    found = measured([result, result], "marked IoU", "blank_static")
    assert found.values == pytest.approx([iou[:16].mean()] * 2)
    assert measured([result], "class accuracy", "direction").values.tolist() == [6 / 8]
    assert videos_of([result], "direction").tolist() == SITUATIONS["direction"]
    assert len(videos_of([result], None)) == VIDEOS
    found = measured([result], "AP", None)
    assert found.values == pytest.approx([51 / 101 / 10]), "the better half, at one IoU of ten"
    older = result.model_copy(update={"marked": None})
    assert measured([older], "marked IoU", "blank_static") is None
    assert videos_of([result], "fog") is None


def test_an_instance_without_a_track_has_no_right_class():
    result = evaluation(np.full(VIDEOS, 0.6))
    lost = [None] * 4 + [1] * (VIDEOS - 4)
    marked = result.marked.model_copy(update={"category": lost[::-1]})
    result = result.model_copy(update={"marked": marked})
    assert measured([result], "class accuracy", "direction").values.tolist() == [4 / 8]


def test_what_is_found_in_a_video_without_instances_counts():
    """A false positive lowers AP, whatever the video has."""
    result = evaluation(np.full(VIDEOS, 0.6))
    found, true = result.detections, result.truths
    kept = {name: column[1:] for name, column in dict(true).items()}
    fewer = result.model_copy(
        update={
            "truths": Truths(**kept),
            "situations": {},
            "detections": found.model_copy(
                update={"hits": [0, *found.hits[1:]], "score": [0.99, *found.score[1:]]}
            ),
        }
    )
    ids = videos_of([fewer], None)
    assert len(ids) == VIDEOS
    with_it = scores([fewer], "AP", ids).values.item()
    assert with_it < scores([fewer], "AP", ids[1:]).values.item()


def test_the_draws_of_videos_are_the_same_for_every_row():
    one, two = evaluation(np.full(VIDEOS, 0.4)), evaluation(np.linspace(0.1, 0.9, VIDEOS))
    flat, sloped = (measured([r], "marked IoU", "blank_static") for r in (one, two))
    assert np.ptp(flat.drawn) < 1e-12
    again = measured([two], "marked IoU", "blank_static")
    assert np.array_equal(sloped.drawn, again.drawn)
    expected = np.linspace(0.1, 0.9, VIDEOS)[:16].std() / 16**0.5
    assert sloped.drawn.std() == pytest.approx(expected, rel=0.1)


def test_verdicts(store):
    shifts = {"Decomp T-HW": 0.3, "Full THW": -0.3, "IFC": 0.0}
    rows = findings(fill(store, shifts, np.random.default_rng(0)))
    assert [(row.contrast.row, row.word, row.as_expected) for row in rows] == [
        ("Decomp T-HW", "helps", True),
        ("Full THW", "harms", False),
        ("IFC", "cannot tell", False),
    ]
    assert rows[0].reason.endswith("after Holm, n = 5 seeds, 16 videos")
    assert rows[2].reason.startswith("to tell 2 points from none takes ")
    assert rows[2].reason.endswith("; n = 5 seeds, 16 videos")


def test_equivalence_needs_the_whole_interval_within_the_margin(store):
    wide = BLANK.model_copy(update={"margin": 0.1})
    preset = FULL.model_copy(update={"seeds": 5, "windows": (5,)})
    results = fill(store, {}, np.random.default_rng(1), made=table(wide, preset=preset))
    last = findings(results)[-1]
    assert (last.word, last.as_expected) == ("equivalent", True)
    low, high = last.found.interval(0.9)
    assert -0.1 <= low < high <= 0.1


def test_the_corrected_p_is_over_the_contrasts_of_the_control(store):
    rows = findings(fill(store, {"Decomp T-HW": 0.035}, np.random.default_rng(2)))
    assert rows[0].corrected == pytest.approx(min(1.0, 3 * rows[0].found.p))


def test_one_seed_or_a_missing_record_cannot_tell(store):
    results = fill(store, {"Decomp T-HW": 0.3}, np.random.default_rng(3), seeds=1)
    assert {row.word for row in findings(results)} == {"cannot tell"}
    assert (
        findings(results)[0].reason == "one seed has no std over seeds, nor one video over videos"
    )
    empty = Results.read(results.table, results.preset, Store(store.results / "none", store.runs))
    assert {row.reason for row in findings(empty)} == {
        "a side has no record of it: not run, or not at this T, or on other data"
    }


def test_the_same_weights_tested_in_two_ways_vary_over_videos_alone(store):
    """By hand: draws of the videos around a difference that has one value on each of them."""
    rng = np.random.default_rng(8)
    apart = rng.normal(0.2, 0.1, VIDEOS)
    drawn = apart[rng.integers(0, VIDEOS, (4000, VIDEOS))].mean(1)
    none, whole = (
        Scores(np.zeros(1), np.zeros((1, 4000))),
        Scores(apart.mean(keepdims=True), drawn[None]),
    )
    found = crossed_pairs(none, whole, VIDEOS)
    error = apart.std(ddof=1) / VIDEOS**0.5
    assert found.seed_std is None
    assert found.std == found.video_std == pytest.approx(error, rel=0.05)
    low, high = found.interval()
    assert (low, high) == pytest.approx(stats.t.interval(0.95, VIDEOS - 1, 0.2, error), abs=0.05)
    assert crossed(none, whole, VIDEOS).std is None, "other weights have a std over seeds"


def test_one_seed_of_a_knock_out_has_a_verdict(store):
    preset = FULL.model_copy(update={"seeds": 1, "windows": (5,)})
    rows = {
        label: Row.of(preset, label, testing={"window": 5, "isolated": label != "IFC"})
        for label in ("IFC", "IFC, isolated")
    }
    use = Contrast(row="IFC", against="IFC, isolated", expected="above")
    made = Table(
        name="knock_out", title="Knock-out", factor="what is tested", metrics=("AP",),
        rows=tuple(rows.values()), controls=(BLANK.model_copy(update={"contrasts": (use,)}),),
    )  # fmt: skip
    results = fill(store, {"IFC": 0.2}, np.random.default_rng(9), seeds=1, made=made)
    [row] = findings(results)
    assert (row.word, row.as_expected) == ("helps", True)
    assert row.reason == "p = <0.001 after Holm, these weights (n = 1), 16 videos"
    assert "95% interval over videos, for these weights; std" in controls_grid(results).head[1]


def test_what_was_found_in_words(store, tmp_path):
    results = fill(store, {"Decomp T-HW": 0.3, "Full THW": -0.3}, np.random.default_rng(4))
    found = answers(controls_grid(results).values, "No Comm")
    assert [(one.row, one.word, one.seeds) for one in found] == [
        ("Decomp T-HW", "helps", 5), ("Full THW", "harms", 5), ("IFC", "cannot tell", 5)
    ]  # fmt: skip
    text = in_words([replace(one, difference=12.34) for one in found])
    assert text == (
        "In blank_static, communication helps Decomp T-HW (+12.3), communication harms Full THW "
        "(+12.3), no verdict on IFC (+12.3)."
    )
    path = tmp_path / "controls.json"
    path.write_text(write(controls_grid(results), "json"))
    again = committed_answers(path, "No Comm")
    assert in_words(again) == in_words(found)
    assert committed_answers(tmp_path / "none.json", "No Comm") == []
    assert in_words([]) == ""
    both = [found[0], replace(found[0], isolated=True, difference=-1.0)]
    assert "In blank_static (the same weights without it), communication helps Decomp" in in_words(
        both
    )
    path.write_text('{"values": [{"seeds": [5, 5]}]}')
    with pytest.raises(UserError, match="not a table of controls"):
        committed_answers(path, "No Comm")


def test_a_contrast_of_two_modules_is_not_what_communication_is_worth(store):
    between = Contrast(row="Full THW", against="IFC", expected="above")
    asked = table(BLANK.model_copy(update={"contrasts": (between,)}))
    results = fill(store, {}, np.random.default_rng(4), made=asked)
    assert len(findings(results)) == 1
    assert answers(controls_grid(results).values, "No Comm") == []


def test_seeds_or_videos_that_would_be_needed():
    """By hand: to see 2 points at 80%, the std of the difference has to be 2 / 2.80 = 0.714."""
    assert needed(5, 1.0, 0.0, 2.0) == 10
    assert needed(5, 1.0, 0.5, 2.0) == 20
    assert needed(5, 1.0, 0.8, 2.0) is None
    assert needed(60, 0.0, 0.1, 2.0) == 2


def test_a_table_names_its_rows():
    wrong = Contrast(row="Nobody", against="No Comm", expected="open")
    made = BLANK.model_copy(update={"contrasts": (wrong,)})
    with pytest.raises(ValueError, match="blank_static: no row 'Nobody'"):
        Table(**{**dict(TABLES["table3a"](FULL)), "controls": (made,)})


class InMemory(Store):
    """A store without files."""

    def save(self, record):
        self._read[record.id] = record

    def load(self, work):
        return self._read.get(work.id)


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_the_whole_pipeline_under_simulation(tmp_path, shift):
    """200 sweeps from records to verdicts: false ones without an effect, power with one.

    The records of every tenth are written and read; files change no number, and take most time.
    Without an effect at most 5% of the sweeps may have any verdict of three (the Monte-Carlo error
    is 1.5%); 8 points must be found in 80%.
    """
    rng = np.random.default_rng(10)
    found = []
    for sweep in range(200):
        kind = InMemory if sweep % 10 else Store
        store = kind(tmp_path / str(sweep), tmp_path / "runs")
        words = [row.word for row in findings(fill(store, dict.fromkeys(TALKING, shift), rng))]
        wrong = "helps" in words or "harms" in words
        found.append(wrong if shift == 0 else words.count("helps") / 3)
        shutil.rmtree(tmp_path / str(sweep), ignore_errors=True)
    if shift == 0:
        assert np.mean(found) <= 0.05 + 2 * 0.015
    else:
        assert np.mean(found) >= 0.8


def test_decide_asks_what_the_documentation_says():
    preset = FULL.model_copy(update={"seeds": 10})
    made = TABLES["decide"](preset)
    asked = {(c.situation, c.measure) for c in made.controls}
    assert ("blank_static", "marked IoU") in asked
    assert len(made.controls) == 8
    seeds = {row.label: len(made.seeds(preset, row)) for row in made.rows}
    assert (seeds["No Comm"], seeds["IFC, isolated"], seeds["M = 16"]) == (10, 10, 5)
    whole, without = (row for row in made.rows if row.label in ("IFC", "IFC, isolated"))
    assert whole.training.id == without.training.id
    assert [(test.window, test.isolated) for test in without.tests] == [(5, True)]


def test_significance_has_an_interval_over_seeds_and_videos(store):
    results = fill(store, {}, np.random.default_rng(5))
    grid = significance_grid(results)
    place = grid.columns.index("over seeds and videos [95%]")
    assert all(row[place].startswith("[") for row in grid.rows)
    assert any("over other seeds and" in line and "(24 here)" in line for line in grid.head)
    of_ifc = over_videos(results, "IFC", "No Comm", 5)
    a, b = (
        measured([t.result for t in results.tests[row, 5]], "AP", None)
        for row in ("No Comm", "IFC")
    )
    assert of_ifc == crossed(a, b, 24)
    assert over_videos(results, "IFC", "No Comm", 10) is None, "not tested there"


def test_what_there_is_may_be_enough_and_still_not_tell():
    """Between none and the margin no number of seeds is promised."""
    near = Crossed((5, 5), 24, 0.014, 0.005, 0.002, 0.0054, 8.0)
    row = Finding(BLANK, BLANK.contrasts[0], None, near, 0.09)
    assert row.word == "cannot tell"
    assert row.reason == ("the difference may be none or beyond 2 points; n = 5 seeds, 24 videos")


def test_the_command_prints_them(store, capsys, monkeypatch):
    results = fill(store, {"Decomp T-HW": 0.3}, np.random.default_rng(4))
    monkeypatch.setitem(TABLES, "table3a", lambda preset: table(BLANK, preset=preset))
    text = ("significance", "table3a", "--preset=full", "--window", "5", "--seeds", "5")
    assert main(TABLES, PRESETS, [*text, f"--results={store.results}"]) == 0
    shown = capsys.readouterr().out
    assert "Table 3(a): communication: controls" in shown
    assert "1 of 3 answers are as expected" in shown
    grid = controls_grid(results)
    assert json.loads(json.dumps(grid.values))[0]["verdict"] == "helps"


def test_the_identity_oracle_as_a_table(store):
    """By hand: two seeds; joined they have 10 and 20 points more, with 1 and 2 breaks each."""
    preset = FULL.model_copy(update={"seeds": 2, "windows": (5,)})
    made = table(preset=preset)
    works = made.evaluations(preset, made.rows[0], 5)
    for work, won, broken in zip(works, (0.1, 0.2), (1, 2), strict=True):
        oracle = IdentityOracle(metrics={"AP": 0.3 + won}, breaks=[broken] * 3)
        plain = evaluation(np.full(VIDEOS, 0.6))
        save(store, work, plain.model_copy(update={"oracle": oracle}))
    results = Results.read(made, preset, store)
    assert has_oracle(results)
    grid = oracle_grid(results)
    first, second, *_ = grid.values
    assert first["difference"] == pytest.approx(0.15)
    assert (first["AP"], first["AP_joined"], first["breaks"]) == pytest.approx((0.3, 0.45, 1.5))
    assert (second["n"], second["AP"]) == (0, None)
    assert grid.rows[0][3:] == ["30.0±0.0†", "45.0±7.1†", "15.0±7.1†", "1.50"]
    assert not has_oracle(fill(store, {}, np.random.default_rng(0)))
