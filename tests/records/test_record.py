"""A record is held against itself: what contradicts, or is no number, is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.records import (
    Detections,
    EvaluationResult,
    GpuSamples,
    StratumResult,
    TrainingResult,
    Truths,
)
from ifc_bench.store import Store
from tests.report.test_profiles import process
from tests.report.test_profiles import record as profile_record
from tests.report.test_tables import PRESET, TABLE, accuracy, save

DETECTIONS = {
    "video": [1, 1],
    "category": [1, 2],
    "score": [0.5, 0.25],
    "hits": [1, 0],
    "ignored": [0, 0],
    "error": ["", "missed"],
    "truth": [7, None],
}
TRUTHS = {"id": [7], "video": [1], "category": [1], "crowd": [False], "hits": [1]}


def evaluation(**changes: object) -> EvaluationResult:
    content = accuracy(0.5).model_dump() | {"detections": DETECTIONS, "truths": TRUTHS} | changes
    return EvaluationResult.model_validate(content)


def test_an_evaluation_that_agrees_is_taken():
    assert evaluation().detections == Detections(**DETECTIONS)
    assert evaluation(metrics={"AP": None}).metrics == {"AP": None}
    assert evaluation(metrics={"AP": 1, "AP50": 0.0}).metrics["AP"] == 1.0


NO_FRACTIONS = [1.0000001, 7.5, -0.1, -1, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", NO_FRACTIONS)
def test_an_accuracy_is_a_fraction(value):
    for changes in (
        {"metrics": {"AP": value}},
        {"metrics": {"AP": 0.5, "AP75": value}},
        {"by_class": {"disc": value}},
        {"by_situation": {"blur": {"AP": value}}},
        {"by_stratum": [{"attribute": "area", "low": 0, "high": 1, "truths": 1, "ap": value}]},
    ):
        with pytest.raises(ValidationError, match=r"(greater|less) than|finite number"):
            evaluation(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {}}, "metrics: AP is absent"),
        ({"metrics": {"AP50": 0.5}}, "metrics: AP is absent"),
        ({"by_situation": {"blur": {"AP50": 0.5}}}, "blur: AP is absent"),
        ({"wall_seconds": math.nan}, "finite number"),
        ({"detections": DETECTIONS | {"score": [0.5]}}, "unequal length: video has 2, .*score has"),
        ({"detections": DETECTIONS | {"score": [0.5, math.nan]}}, "finite number"),
        ({"detections": DETECTIONS | {"hits": [-1, 0]}}, "greater than or equal to 0"),
        ({"truths": TRUTHS | {"crowd": []}}, "unequal length: .*crowd has 0"),
    ],
)
def test_an_evaluation_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        evaluation(**changes)


def test_columns_of_other_results_are_of_one_length_too():
    with pytest.raises(ValidationError, match="loss has 2, classes has 1"):
        TrainingResult(
            loss=[1, 2],
            loss_parts={"classes": [1]},
            accuracy_curve=[],
            parameters=1,
            wall_seconds=1,
        )
    with pytest.raises(ValidationError, match="seconds has 2, power_watts has 1"):
        GpuSamples(seconds=[0, 1], power_watts=[100])
    assert GpuSamples(seconds=[0, 1]).power_watts == []
    samples = process(1.0).model_dump()
    masks = samples["masks"] | {"device_seconds": [1.0]}
    for changes in ({"masks": masks}, {"scope_seconds": {"encoder": [1], "heads": []}}):
        with pytest.raises(ValidationError, match="unequal length"):
            type(process(1.0)).model_validate(samples | changes)


def test_a_curve_of_accuracy_may_be_undefined_and_never_infinite():
    def curve(value: float) -> TrainingResult:
        return TrainingResult(
            loss=[], loss_parts={}, accuracy_curve=[(5, value)], parameters=1, wall_seconds=1
        )

    assert curve(-1).accuracy_curve == [(5, -1)]
    for value in (math.nan, 1.5, -2):
        with pytest.raises(ValidationError):
            curve(value)
    with pytest.raises(ValidationError, match="finite number"):
        StratumResult(attribute="area", low=0, high=math.inf, truths=1, ap=None)
    assert Truths(**TRUTHS).crowd == [False]


def test_status_ok_needs_what_was_measured():
    with pytest.raises(ValidationError, match="processes: is empty, and status is ok"):
        profile_record([])
    assert profile_record([], status="out_of_memory").result is not None


CHANGES: dict[str, Callable[[dict], object]] = {
    "a number": lambda r: r["result"]["metrics"].update(AP=0.9),
    "too large": lambda r: r["result"]["metrics"].update(AP=7.5),
    "no number": lambda r: r["result"]["metrics"].update(AP=math.nan),
    "AP absent": lambda r: r["result"]["metrics"].pop("AP"),
    "no result": lambda r: r.update(result=None),
    "another kind": lambda r: r.update(result={"kind": "count", "encoder_macs": 7}),
    "a short column": lambda r: r["result"].update(
        detections=DETECTIONS | {"score": [0.5]}, truths=TRUTHS
    ),
}


@pytest.fixture
def scored(tmp_path) -> tuple[Path, Path]:
    """A folder of results with every evaluation of a table, and the file of one."""
    store = Store(tmp_path / "results", tmp_path / "runs")
    for row in TABLE.rows:
        for work in TABLE.evaluations(PRESET, row, 5):
            save(store, work, accuracy(0.3 + 0.01 * work.training.seed))
    return store.results, store.record_path(TABLE.evaluations(PRESET, TABLE.rows[1], 5)[0])


def change(path: Path, how: Callable[[dict], object], sealed: bool) -> None:
    content = json.loads(path.read_text())
    how(content)
    if not sealed:
        content.pop("sha256")
    path.write_text(json.dumps(content))


# Without a hash, another number within bounds is as good as the first.
CASES = [(name, sealed) for name in CHANGES for sealed in (True, False) if name != "a number"]


@pytest.mark.parametrize(("name", "sealed"), [("a number", True), *CASES])
def test_commands_refuse_a_changed_evaluation_in_one_line(name, sealed, scored, tmp_path, capsys):
    results, path = scored
    chosen = ["--preset=full", "--seeds=3", "--window=5", f"--results={results}"]
    change(path, CHANGES[name], sealed)
    for command in (
        ["report", "table3a", f"--out={tmp_path / 'out'}"],
        ["significance", "table3a"],
    ):
        assert main(TABLES, PRESETS, [*command, *chosen]) == 2
        told = capsys.readouterr()
        assert told.err.startswith(f"error: {path}: ")
        assert told.err.count("\n") == 1
        assert not told.out


def test_compare_refuses_a_changed_profile_in_one_line(tmp_path, capsys):
    paths = []
    for side in ("a", "b"):
        store = Store(tmp_path / side, tmp_path)
        paths.append(store.save(profile_record([process(1.0), process(2.0)])))
        store.save(profile_record([process(1.0)], window=10))
    sides = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(TABLES, PRESETS, ["compare", *sides]) == 3, "too few processes to tell"
    change(paths[0], lambda r: r["result"]["processes"][0].update(place=7), True)
    capsys.readouterr()
    assert main(TABLES, PRESETS, ["compare", *sides]) == 2
    assert capsys.readouterr().err.startswith(f"error: {paths[0]}: was changed after it was writ")
