"""Time and disk of a whole sweep from measured iterations: arithmetic that is checked by hand."""

from dataclasses import replace

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.records import Device
from ifc_bench.records.dry_run import DryRun, Steps, Validation
from ifc_bench.sweep.costs import (
    Hours,
    iteration_seconds,
    kinds,
    seconds_of_tests,
    share,
    sweep_hours,
    sweep_space,
)
from ifc_bench.sweep.plan import make_plan


def plan_of(preset: str, *names: str, **changes: object):
    chosen = PRESETS[preset].model_copy(update=changes)
    device = Device(kind="cuda", name="a GPU")
    return make_plan([TABLES[name](chosen) for name in names], chosen, device)


def run_of(clips: int, most: int = 1000, **changes: object) -> DryRun:
    """A second for each clip; with up to `most` clips at a time."""
    sizes = [clips >> power for power in range(clips.bit_length())]
    steps = tuple(
        Steps(size, (float(clips),) * 3, size * 10**9, size * 2 * 10**9)
        if size <= most
        else Steps(size)
        for size in sizes
    )
    run = DryRun((360, 640), (0.8, 0.8), 4, 16, steps, 470, None, 10**10, on_gpu=True)
    return replace(run, **changes)


def test_seeds_share_one_dry_run():
    found = kinds(plan_of("full", "table3a"))
    assert [kind.name for kind in found] == ["full", "none", "decomposed", "ifc M=8"]
    assert {len(kind.trainings) for kind in found} == {5}
    assert {len(kind.evaluations) for kind in found} == {4}
    assert {e.training for kind in found for e in kind.evaluations} == {k.first for k in found}


def test_trainings_on_images_are_kinds_of_their_own_and_once_each():
    found = kinds(plan_of("paper", "table3a"))
    assert len(found) == 7
    images = [kind for kind in found if kind.first.optimisation.clip_frames == 1]
    assert {len(kind.trainings) for kind in images} == {1}
    assert all(not kind.evaluations for kind in images)
    assert len({kind.name for kind in found}) == 7


def test_kinds_that_would_have_one_name_are_told_apart():
    preset = PRESETS["quick"]
    slower = preset.model_copy(
        update={"video": preset.video.with_changes({"learning_rate": 1e-5}, {})}
    )
    device = Device(kind="cpu", name="a CPU", threads=1)
    plan = make_plan([TABLES["table3a"](preset), TABLES["table3a"](slower)], preset, device)
    names = [kind.name for kind in kinds(plan)]
    assert len(names) == len(set(names)) == 8
    assert sum(name.startswith("none (") for name in names) == 2


@pytest.mark.parametrize(
    ("gpus", "accumulate", "most", "expected"),
    [
        (1, False, 1000, 16),
        (1, True, 1000, 8),  # at most half, or nothing would be accumulated
        (1, True, 2, 2),
        (4, False, 1000, 4),
        (4, True, 1000, 2),
        (4, True, 1, 1),
        (16, True, 1000, 1),  # a GPU has one clip
        (3, False, 1000, None),
        (32, False, 1000, None),
    ],
)
def test_a_gpu_takes_its_part_of_a_batch(gpus, accumulate, most, expected):
    [kind] = kinds(plan_of("paper", "table2d", pretrain=False))
    assert kind.clips == 16
    steps = share(kind, run_of(16, most), gpus, accumulate)
    assert (steps and steps.at_a_time) == expected


def test_what_does_not_fit_stays_in_sight():
    [kind] = kinds(plan_of("paper", "table2d", pretrain=False))
    assert not share(kind, run_of(16, most=4), 2, accumulate=False).fits
    none = share(kind, run_of(16, most=0), 2, accumulate=True)
    assert (none.at_a_time, none.fits) == (1, False)


@pytest.mark.parametrize(
    ("changes", "gpus", "expected"),
    [
        ({}, 1, 16.0),
        ({}, 8, 2.0),
        ({"load_seconds": (100.0,)}, 1, 25.0),  # four loaders
        ({"load_seconds": (100.0,)}, 8, 6.25),  # 32 loaders on 16 cores
        ({"loaders": 0, "load_seconds": (4.0,)}, 2, 10.0),  # one after the other
        ({"on_gpu": False, "load_seconds": (4.0,)}, 1, 20.0),  # on the cores that train
    ],
)
def test_loading_bounds_an_iteration_or_adds_to_it(changes, gpus, expected):
    run = run_of(16, **changes)
    assert iteration_seconds(run, run.steps[0], gpus) == pytest.approx(expected)


def test_tests_are_in_proportion_to_frames_with_points_of_the_curve():
    [kind] = kinds(plan_of("quick", "table2d"))
    run = run_of(
        8, tests=Validation(share=0.05, seconds=2.0, curve_seconds=0.5, predictions_bytes=1)
    )
    assert seconds_of_tests(kind, run, PRESETS["quick"]) == pytest.approx((2 + 2 * 0.5) / 0.05)
    without = seconds_of_tests(kind, run_of(8), PRESETS["quick"])
    assert without == len(kind.evaluations) * PRESETS["quick"].seconds_per_evaluation


def test_hours_are_the_sum_over_all_trainings():
    plan = plan_of("quick", "table3a")
    tests = Validation(share=0.5, seconds=18.0, curve_seconds=0.0, predictions_bytes=1)
    runs = [(kind, run_of(8, tests=tests)) for kind in kinds(plan)]
    one = sweep_hours(plan, runs, 1, accumulate=False)
    assert one.training == pytest.approx(8 * 340 * 8 / 3600)
    assert one.testing == pytest.approx(8 * 36 / 3600)
    assert one.profiling == pytest.approx(plan.profiling_seconds(16) / 3600)
    assert one.total == pytest.approx(one.training + one.testing + one.profiling)
    eight = sweep_hours(plan, runs, 8, accumulate=False)
    assert eight.training == pytest.approx(one.training / 8)
    assert eight.testing == one.testing, "one GPU tests, the others wait"
    assert Hours(8, 4, 2).at_a_time(4) == Hours(2, 1, 2)


def test_kinds_that_do_not_run_are_named():
    plan = plan_of("quick", "table3a")
    full, none, *rest = kinds(plan)
    runs = [(full, run_of(8, most=2)), *((kind, run_of(8)) for kind in (none, *rest))]
    assert sweep_hours(plan, runs, 1, accumulate=False) == ["full (out of memory at 8 clips)"]
    assert isinstance(sweep_hours(plan, runs, 1, accumulate=True), Hours)
    assert isinstance(sweep_hours(plan, runs, 4, accumulate=False), Hours)
    assert sweep_hours(plan, runs, 3, accumulate=False)[0] == "full (8 clips do not divide)"


def test_disk_space_is_that_of_all_files():
    plan = plan_of("quick", "table3a")
    tests = Validation(share=0.5, seconds=18.0, curve_seconds=0.0, predictions_bytes=1000)
    runs = [(kind, run_of(8, tests=tests)) for kind in kinds(plan)]
    checkpoints, predictions, records = sweep_space(plan, runs)
    assert (checkpoints.files, checkpoints.bytes) == (8, 8 * 470)
    assert "measured" in checkpoints.source
    assert (predictions.files, predictions.bytes) == (32, 8 * 2000)
    assert records.files == 8 + 32 + 16
    assert records.bytes == 8 * 340 * 50 + 32 * 11_000 + 16 * 7_000
    lost = [(runs[0][0], run_of(8, most=0, checkpoint_bytes=None)), *runs[1:]]
    guessed = sweep_space(plan, lost)[0]
    assert guessed.bytes == 6 * 470 + 2 * plan.preset.checkpoint_bytes
    assert "the preset's estimate" in guessed.source
