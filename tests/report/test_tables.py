"""Tables from hand-made records: the arithmetic, and warnings in the head."""

import json
import statistics

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.config import ModelConfig, SyntheticData
from ifc_bench.config import Testing as HowTested  # pytest collects what begins with Test
from ifc_bench.errors import UserError
from ifc_bench.provenance import provenance
from ifc_bench.recipe import Row, Table
from ifc_bench.records import (
    CountResult,
    Device,
    EvaluationResult,
    ProfileResult,
    Record,
    Status,
    TrainingResult,
)
from ifc_bench.report import render, summarise
from ifc_bench.report.layout import Caution
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.results import read_results
from ifc_bench.report.tables import lay_out
from ifc_bench.store import Store
from tests.report.test_profiles import process

PRESET = PRESETS["full"].model_copy(update={"seeds": 3, "windows": (5,)})
TABLE = TABLES["table3a"](PRESET)
NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, tmp_path / "runs")


def save(store, work, result, status: Status = "ok", device=None, split="a+b"):
    origin = provenance("cpu", 1)
    if device:
        described = device if isinstance(device, Device) else Device(kind="cuda", name=device)
        origin = origin.model_copy(update={"device": described})
    record = Record(
        id=work.id,
        status=status,
        work=work,
        attention="materialised",
        split_hash=split,
        provenance=origin,
        result=result,
    )
    store.record_path(work).unlink(missing_ok=True)  # an existing record would be kept
    store.save(record)


def accuracy(value: float) -> EvaluationResult:
    return EvaluationResult(
        metrics=dict.fromkeys(NAMES, value),
        by_class={},
        by_situation={},
        videos=1,
        frames=1,
        tracks=1,
        wall_seconds=1.0,
    )


def fill(store, row: int, values: list[float]) -> None:
    works = TABLE.evaluations(PRESET, TABLE.rows[row], 5)
    for work, value in zip(works, values, strict=False):
        save(store, work, accuracy(value))


def test_sample_std_with_n():
    three = summarise([1.0, 2.0, 4.0])
    assert three is not None
    assert three.std == pytest.approx(statistics.stdev([1, 2, 4]))
    assert summarise([1.0]).std is None
    assert summarise([]) is None


def test_cells_are_mean_and_sample_std(store):
    fill(store, 3, [0.40, 0.42, 0.47])
    values = json.loads(render(read_results(TABLE, PRESET, store), "json"))["values"]
    ifc = next(v for v in values if v["communication"] == "IFC" and v["metric"] == "AP")
    assert ifc["mean"] == pytest.approx(43.0)
    assert ifc["std"] == pytest.approx(100 * statistics.stdev([0.40, 0.42, 0.47]))
    assert ifc["n"] == 3
    assert "43.0±3.6" in render(read_results(TABLE, PRESET, store))


def test_stds_alone_in_table_4(store):
    fill(store, 3, [0.40, 0.42, 0.47])
    text = render(read_results(TABLES["table4a"](PRESET), PRESET, store))
    line = next(line for line in text.splitlines() if line.startswith("| IFC"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["3.6", "3.6"]


def test_missing_work_is_reported(store):
    fill(store, 0, [0.3])
    training = TABLE.trainings(PRESET, TABLE.rows[1])[0]
    lost = TrainingResult(
        loss=[None], loss_parts={}, accuracy_curve=[], parameters=1, wall_seconds=1, diverged_at=0
    )
    save(store, training, lost, "diverged")
    text = render(read_results(TABLE, PRESET, store))
    assert "incomplete: of 12 evaluations, 1 diverged, 10 not run" in text
    assert "n = 1 training run, so no ±" in text
    line = next(line for line in text.splitlines() if line.startswith("| Full THW"))
    assert "– (1 diverged)" in line


def test_a_row_tested_at_some_windows_alone_has_gaps_in_the_columns_of_the_others(store):
    preset = PRESET.model_copy(update={"windows": (5, 20)})
    made = TABLES["table3a"](preset)
    first, *others = made.rows
    few = first.model_copy(update={"tests": first.tests[:1]})
    table = made.model_copy(update={"rows": (few, *others)})
    assert (table.own_windows, table.columns) == (False, (5, 20))
    for row in table.rows:
        for window in row.windows:
            for work in table.evaluations(preset, row, window):
                save(store, work, accuracy(0.01 * window))
    text = render(read_results(table, preset, store))
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    header, *rows = [[cell.strip() for cell in line] for line in lines]
    cells = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert cells["No Comm"]["T=5 AP"] == "5.0±0.0"
    assert {name: cells["No Comm"][name] for name in header if "T=20" in name} == dict.fromkeys(
        (name for name in header if "T=20" in name), "–"
    )
    assert cells["IFC"]["T=20 AP"] == "20.0±0.0"
    neither = made.model_copy(
        update={"rows": (few, others[0].model_copy(update={"tests": others[0].tests[1:]}))}
    )
    assert neither.own_windows, "then a line for each window of each row"


def test_one_situation_alone(store):
    works = TABLE.evaluations(PRESET, TABLE.rows[0], 5)
    narrow = accuracy(0.3).model_copy(update={"by_situation": {"blur": dict.fromkeys(NAMES, 0.7)}})
    save(store, works[0], narrow)
    text = render(read_results(TABLE, PRESET, store), situation="blur")
    assert "70.0" in text
    assert "situation blur alone" in text
    with pytest.raises(UserError, match="--situation: 'fog' is none of blur"):
        render(read_results(TABLE, PRESET, store), situation="fog")


def test_mixed_splits_are_a_warning(store):
    works = TABLE.evaluations(PRESET, TABLE.rows[0], 5)
    save(store, works[0], accuracy(0.3), split="a+b")
    save(store, works[1], accuracy(0.3), split="c+d")
    assert "more than one split" in render(read_results(TABLE, PRESET, store))


def test_speeds_with_other_threads_are_other_devices(store):
    for threads, seconds in ((1, 2.0), (2, 1.0)):
        device = Device(kind="cpu", name="a processor", threads=threads)
        work = TABLE.profile(PRESET, TABLE.rows[0], 5, device)
        assert work is not None
        save(store, work, speed(2 * seconds), device=device)
    text = render(read_results(TABLE, PRESET, store))
    assert "FPS [1]: to masks, a processor, 1 thread, attention" in text
    assert "FPS [2]: to masks, a processor, 2 threads, attention" in text
    assert text.count("; one process each, so no ±") == 2


def speed(*seconds: float) -> ProfileResult:
    """Return one process for each number, the seconds of all its passes over both videos."""
    return ProfileResult(frames=[10, 30], processes=[process(s) for s in seconds])


def test_speeds_of_two_devices_never_share_a_column(store):
    for device, seconds in (("card A", 1.0), ("card B V100", 2.0)):
        work = TABLE.profile(PRESET, TABLE.rows[0], 5, Device(kind="cuda", name=device))
        assert work is not None
        save(store, work, speed(2 * seconds, 2 * seconds), device=device)
    text = render(read_results(TABLE, PRESET, store))
    assert "T=5 FPS [1]" in text
    assert "T=5 FPS [2]" in text
    assert text.count("; ± is the sample std between processes (n = 2)") == 2
    values = json.loads(render(read_results(TABLE, PRESET, store), "json"))["values"]
    fps = {v["device"]: v["mean"] for v in values if v["metric"] == "FPS"}
    assert fps == {"card A": 20.0, "card B V100": 10.0}


LIKE_PAPER = PRESET.model_copy(
    update={"model": ModelConfig(), "video": PRESET.video.with_changes({}, {"size": 360})}
)


@pytest.mark.parametrize(
    ("preset", "card", "fps"),
    [(LIKE_PAPER, "Tesla V100", "38.1"), (LIKE_PAPER, "T4", "–"), (PRESET, "Tesla V100", "–")],
    ids=["the same", "another GPU", "a small network and frame"],
)
def test_the_papers_speeds_stand_beside_the_same_measurement_alone(store, preset, card, fps):
    table = TABLES["table3a"](preset)
    work = table.profile(preset, table.rows[0], 5, Device(kind="cuda", name=card))
    assert work is not None
    save(store, work, speed(2.0), device=card)
    text = render(read_results(table, preset, store), paper=PaperNumbers())
    line = next(line for line in text.splitlines() if "(paper)" in line)
    assert "37.4±1.0" in line
    assert line.split("|")[4].strip() == fps


def test_an_older_profile_stands_in_under_its_own_name(store):
    work = TABLE.profile(PRESET, TABLE.rows[0], 5, Device(kind="cuda", name="T4"))
    assert work is not None
    old = process(2.0).model_copy(update={"masks": None, "network": None})
    save(store, work.older, ProfileResult(frames=[10, 30], processes=[old]), device="T4")
    assert "FPS: to results.json, T4" in render(read_results(TABLE, PRESET, store))
    save(store, work, speed(1.0), device="T4")
    assert "FPS: to masks, T4" in render(read_results(TABLE, PRESET, store))


def test_rows_may_differ_in_anything(store):
    """Each row has a line per window, and the head lists all schedules and data."""
    near = Row.of(PRESET, "near", tests=(HowTested(window=5), HowTested(window=7, stride=2)))
    other = SyntheticData(seed=1)
    far = Row.of(PRESET, "far", data=other, optimisation={"clips": 4}, testing={"window": None})
    table = Table(name="t", title="T", factor="f", rows=(near, far), metrics=("AP",),
                  baseline="near")  # fmt: skip
    for value, (row, window) in enumerate([(near, 5), (near, 7), (far, None)], 1):
        for work in table.evaluations(PRESET, row, window):
            save(store, work, accuracy(value / 10))
    grid = lay_out(read_results(table, PRESET, store))
    assert grid.columns == ["f", "T", "AP"]
    assert [line[:2] for line in grid.rows] == [["near", "5"], ["near", "7"], ["far", "video"]]
    assert [line[2][:4] for line in grid.rows] == ["10.0", "20.0", "30.0"]
    data, preset = grid.head[:2]
    assert data.startswith("data: embedded benchmark (synthetic), seed 0")
    assert " or embedded benchmark (synthetic), seed 1" in data
    assert "1000 iterations of 8 clips of T=5 or 1000 iterations of 4 clips of T=5" in preset
    assert preset.endswith("evaluated in windows of T at stride S")


def measured(store, table, preset) -> str:
    """The table's text with an accuracy and a speed of its first row."""
    row = table.rows[0]
    [test, *_] = table.evaluations(preset, row, 5)
    work = table.profile(preset, row, 5, Device(kind="cuda", name="T4"))
    save(store, test, accuracy(0.3))
    save(store, work, speed(2.0), device="T4")
    return render(read_results(table, preset, store))


def test_the_head_says_in_which_arithmetic_rows_were_tested_and_measured(store):
    text = measured(store, TABLE, PRESET)
    assert "evaluated in windows of T at stride 1\n" in text
    assert "FPS: to masks, T4, attention" in text
    preset = PRESET.with_options(testing={"precision": "bf16", "compiled": True})
    text = measured(store, TABLES["table3a"](preset), preset)
    told = "in bf16 (mixed precision), compiled"
    assert f"evaluated in windows of T at stride 1, {told}\n" in text
    assert f"FPS: to masks, {told}, T4, attention" in text
    assert "not of one network" not in text


class HalfSpeeds(Table):
    """FPS of another arithmetic than the accuracies."""

    def profile(self, *given):
        work = super().profile(*given)
        return work and work.model_copy(update={"precision": "fp16"})


def test_speeds_and_accuracies_of_different_arithmetic_are_a_warning(store):
    table = HalfSpeeds(**dict(TABLE))
    row = table.rows[0]
    save(store, table.profile(PRESET, row, 5, Device(kind="cuda", name="T4")), speed(2.0))
    text = render(read_results(table, PRESET, store))
    assert "not of one network" not in text, "there is no accuracy yet"
    save(store, table.evaluations(PRESET, row, 5)[0], accuracy(0.3))
    grid = lay_out(read_results(table, PRESET, store))
    [caution] = [line for line in grid.head if "not of one network" in line]
    assert isinstance(caution, Caution)
    assert caution == (
        "warning: FPS in fp16 and accuracies in fp32 are not of one network; measure and test in "
        "the same"
    )


def test_table_1_beside_the_paper(store):
    table = TABLES["table1"](PRESET)
    for work in table.counts():
        save(store, work, CountResult(encoder_macs=5_170_000_000), split=None)
    paper = PaperNumbers()
    text = render(read_results(table, PRESET, store), paper=paper)
    assert "1815.38" in text
    assert "5.17" in text


def test_reference_csv_that_is_gone_or_broken(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        PaperNumbers(tmp_path / "reference.csv")
    (tmp_path / "reference.csv").write_text("table,variant\n")
    with pytest.raises(UserError, match="column factor is missing"):
        PaperNumbers(tmp_path / "reference.csv")
