"""A table whose rows have different training schedules, from the plan to the report."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.records import EvaluationResult
from ifc_bench.store import Store
from tests.conftest import run_cli, run_process

CHOSEN = ("clip_length", "--preset=smoke", "--seeds=1", "--window=5")


def test_only_the_clips_differ():
    for preset in PRESETS.values():
        table = TABLES["clip_length"](preset)
        assert [one.optimisation.clip_frames for one in table.recipes] == [3, 5, 8, 3, 5, 8]
        assert len({one.id for one in table.recipes}) == 6
        near = [one.optimisation.sampling_range for one in table.recipes]
        assert all(2 * n + 1 >= t for n, t in zip(near, [3, 5, 8, 3, 5, 8], strict=True))
        shared = {one.id for one in TABLES["table3a"](preset).recipes}
        assert sum(one.id in shared for one in table.recipes) == 2, "T = 5 is the preset's own"


def test_estimates_grow_with_the_frames():
    quick = PRESETS["quick"]
    three, five, eight = map(quick.seconds_of, TABLES["clip_length"](quick).recipes[:3])
    assert five == 340 * quick.video.seconds_per_iteration
    assert (three, eight) == pytest.approx((five * 3 / 5, five * 8 / 5))


def test_it_is_planned_run_and_reported_like_any_other(tmp_path):
    places = (f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}")
    planned = run_cli("plan", *CHOSEN, *places).stdout
    assert "trainings: 6, 0 exist" in planned
    for label in ("none T=3 seed 0", "none seed 0", "ifc M=8 T=8 seed 0"):
        assert f"  {label}  " in planned
    done = run_process("run", *CHOSEN, *places, "--device=cpu", "--workers=2")
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "results", tmp_path / "runs")
    trainings = {record.id: record for record in store.records("training")}
    assert {record.status for record in trainings.values()} == {"ok"}
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
    assert trainings.keys() == {one.id for one in TABLES["clip_length"](preset).recipes}
    tested = list(store.records("evaluation"))
    assert len(tested) == 6
    assert all(isinstance(record.result, EvaluationResult) for record in tested)
    for frames in (3, 5, 8):
        assert f"4 iterations of 2 clips of T={frames}" in done.stdout
        assert f"| IFC, {frames} frames " in done.stdout
    assert "incomplete" not in done.stdout
    assert run_cli("report", *CHOSEN, *places).stdout == done.stdout


def test_records_of_a_schedule_of_a_row_are_known_by_their_preset(tmp_path):
    """The message names the preset of the records, although its own schedule is another."""
    from tests.report.test_presence import fill

    store = Store(tmp_path / "results", tmp_path / "runs")
    fill(store, "clip_length", rows=1, seeds=1, windows=(5,))
    places = (f"--results={store.results}", f"--runs={store.runs}")
    stderr = run_cli("report", "clip_length", "--preset=quick", *places).stderr
    assert "there are records of smoke (n = 1): add --preset smoke" in stderr
