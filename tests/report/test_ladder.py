"""The speed ladder: its rungs, their ratios, and the command that climbs it."""

import math

import pytest
from scipy import stats

from ifc_bench.config import (
    RUNGS,
    InterFrame,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
    ladder,
)
from ifc_bench.measuring.profiles import measure_once
from ifc_bench.report import plots
from ifc_bench.report.compare import compare
from ifc_bench.report.ladder import ladder_frame, ladder_grid, render_ladder
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.roofline import has_scope_times
from ifc_bench.report.sides import read_side
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli, tiny_model
from tests.report.test_profiles import process, record


def profile(**changes) -> Profile:
    work = Profile(
        weights=RandomWeights(model=tiny_model(InterFrame(memory_tokens=2)), instances=2),
        footage=NoiseFrames(frames=4, height=32, width=48),
        window=2,
        device="a CPU",
        protocol=Protocol(processes=1, min_passes=1, min_seconds=0.01, max_seconds=0.01),
    )
    return work.model_copy(update=changes)


def climbed(seconds: list[list[float]]):
    """Records of the rungs of one ladder with these seconds in each process."""
    made = []
    for work, taken in zip(ladder(profile(), on_gpu=False), seconds, strict=False):
        samples = [process(one, logit_distance=2e-6) for one in taken]
        base = record(samples, device="a CPU")
        result = base.result.model_copy(update={"frames": [4]})
        made.append(base.model_copy(update={"id": work.id, "work": work, "result": result}))
    return made


def test_each_rung_keeps_the_changes_of_those_below():
    rungs = ladder(profile(), on_gpu=False)
    states = [(w.channels_last, w.model.attention, w.form, w.compiled, w.precision) for w in rungs]
    assert states == [
        (False, "materialised", "release", False, "fp32"),
        (True, "materialised", "release", False, "fp32"),
        (True, "flash", "release", False, "fp32"),
        (True, "flash", "shared", False, "fp32"),
        (True, "flash", "folded", False, "fp32"),
        (True, "flash", "folded", True, "fp32"),
    ]
    top = ladder(profile(), on_gpu=True)[-1]
    assert (top.model.attention, top.precision, top.compiled) == ("efficient", "bf16", True)


def test_any_rung_knows_the_whole_ladder():
    rungs = ladder(profile(), on_gpu=True)
    assert len(rungs) == len(RUNGS)
    for rung in rungs:
        assert ladder(rung, on_gpu=True) == rungs


def test_a_plain_profile_keeps_its_id_and_is_no_rung():
    work = profile()
    assert work.form == "release"
    assert "form" not in work.model_dump(exclude_defaults=True)
    assert work.id not in {rung.id for rung in ladder(work, on_gpu=False)}


def test_ratios_are_of_pairs_of_one_round():
    """The machine is half as fast in every second round, which the pairs do not see."""
    records = climbed([[1.0, 2.0, 1.0], [0.5, 1.0, 0.5], [0.5, 1.25, 0.5]])
    frame = ladder_frame(records[::-1])
    assert list(frame["rung"]) == list(RUNGS[:3])
    first, second, third = (row for _, row in frame.iterrows())
    assert math.isnan(first["ratio"])
    assert (second["ratio"], second["low"], second["high"]) == pytest.approx((2, 2, 2))
    logs = [0.0, math.log(0.8), 0.0]
    mean = sum(logs) / 3
    half = stats.t.ppf(0.975, 2) * stats.tstd(logs) / math.sqrt(3)
    assert third["ratio"] == pytest.approx(math.exp(mean))
    assert (third["low"], third["high"]) == pytest.approx(
        (math.exp(mean - half), math.exp(mean + half))
    )
    assert second["whole"] == pytest.approx(2)
    assert set(frame["logit_distance"]) == {2e-6}


def test_a_missing_rung_is_left_out_and_the_next_is_compared_with_the_one_below_it():
    records = climbed([[1.0, 1.0], [1.0, 1.0], [0.5, 0.5]])
    frame = ladder_frame([records[0], records[2]])
    assert list(frame["rung"]) == ["release order", "fused attention"]
    assert frame["ratio"].iloc[1] == pytest.approx(2)


def test_the_table_and_the_figure():
    records = climbed([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])
    text = render_ladder(records)
    assert "| channels-last | 8.00±0.00 | 2.00 [2.00, 2.00] | 2.00 | 2.0e-06 |" in " ".join(
        text.split()
    )
    assert ladder_grid(records).values[0]["ratio"] is None
    ax = plots.speed_ladder(ladder_frame(records))
    assert [bar.get_width() for bar in ax.patches] == [4, 8]
    assert [text.get_text() for text in ax.texts] == [" 1.00x", " 2.00x"]


def test_rungs_stay_out_of_profiles_and_rooflines(tmp_path):
    records = climbed([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])
    assert "release" not in render_profiles(records)
    assert not any(has_scope_times(one) for one in records)
    store = Store(tmp_path, tmp_path)
    for one in records:
        store.save(one)
    side = read_side(str(tmp_path))
    assert len(compare(side, side)) == 2, "rungs are rows of their own"


def test_the_distance_from_the_first_rung_is_measured(tmp_path):
    store = Store(tmp_path, tmp_path)
    far = {}
    for name, work in zip(RUNGS, ladder(profile(), on_gpu=False)[:5], strict=False):
        far[name] = measure_once(work, store, "cpu", 0).samples.logit_distance
    half = ladder(profile(), on_gpu=False)[3].model_copy(update={"precision": "bf16"})
    assert max(far.values()) < 1e-4
    assert 1e-4 < measure_once(half, store, "cpu", 0).samples.logit_distance < 1
    assert measure_once(profile(), store, "cpu", 0).samples.logit_distance is None


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--attention", "math"], "--attention"), (["--precision", "fp32"], "--precision"),
        (["--compile"], "--compile"), (["--no-channels-last"], "--no-channels-last"),
        (["--form", "shared"], "--form"),
    ],
)  # fmt: skip
def test_what_a_ladder_decides_is_refused(option, named, tmp_path):
    where = ["--results", str(tmp_path), "--runs", str(tmp_path), "--device", "cpu"]
    done = run_cli("profile", "--ladder", *option, *where)
    assert (
        one_line_error(done) == f"error: --ladder: decides {named} for each rung; leave {named} out"
    )
