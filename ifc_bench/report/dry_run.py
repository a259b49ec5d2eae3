"""Tables of a dry run: an iteration of each training, the whole sweep, and its files."""

from __future__ import annotations

from collections.abc import Sequence

from ifc_bench.records import Device
from ifc_bench.records.dry_run import DryRun, Steps
from ifc_bench.report.layout import ABSENT, Grid, span
from ifc_bench.report.quantities import GPU_MEMORY, SPACE, STEP_TIME
from ifc_bench.sweep.costs import Hours, Kind, Space, amount, share, sweep_hours, sweep_space
from ifc_bench.sweep.plan import Plan

GPUS = (1, 2, 4, 8)
_MOST_NAMED = 3
Runs = Sequence[tuple[Kind, DryRun]]


def iterations_grid(runs: Runs, device: Device) -> Grid:
    """One line for each training and number of clips at a time."""
    on_gpu = device.kind == "cuda"
    reserved = ["reserved GB"] if on_gpu else []
    columns = [
        "training", "runs", "clips at a time", "largest frames", "peak GB", *reserved,
        "s an iteration", "range", "n", "s to load a batch",
    ]  # fmt: skip
    grid = Grid("Dry run: one training iteration", _head_of_iterations(runs, device), columns)
    for kind, run in runs:
        for steps in run.steps:
            first = steps is run.steps[0]
            height, width = run.frame_size
            load = STEP_TIME.number(sum(run.load_seconds) / len(run.load_seconds))
            grid.rows.append(
                [
                    kind.name if first else "",
                    str(len(kind.trainings)) if first else "",
                    _clips(kind, steps),
                    f"{height}x{width}",
                    GPU_MEMORY.number(steps.peak_bytes),
                    *([GPU_MEMORY.number(steps.reserved_bytes)] if on_gpu else []),
                    *_seconds(steps),
                    load if first else "",
                ]
            )
            grid.values.append(_value(kind, run, steps))
    return grid


def _head_of_iterations(runs: Runs, device: Device) -> list[str]:
    count = device.threads or 1
    threads = "" if device.kind == "cuda" else f", {count} thread{'s'[: count > 1]}"
    free = min(run.free_bytes for _, run in runs)
    allocator = (
        "peak of max_memory_allocated and max_memory_reserved, from an empty cache on; the context "
        "and other processes are not in it"
        if device.kind == "cuda"
        else "peak of torch's allocations in the warm-up, from its profiler, with weights and "
        "optimiser; copies within libraries are not in it"
    )
    return [
        f"measured on {device.name}{threads}; {SPACE.text(free)} of memory were free",
        "real clips through the real trainer, from fresh weights: forward, losses, backward, clip, "
        "AdamW's step; two warm-up iterations, then n timed ones (median and range)",
        f"memory: {allocator}",
        "fewer clips at a time than the batch has: gradients are accumulated, with each part's "
        "loss divided by the number of parts. That is for time and memory, not for exactness",
        "sizes of frames are random in training; memory and time are of the frames that were drawn",
    ]


def sweep_grid(plan: Plan, runs: Runs, device: Device, workers: int) -> Grid:
    """The whole sweep, with and without gradient accumulation, on 1 to 8 GPUs or one CPU."""
    on_gpu = device.kind == "cuda"
    noun = "GPU" if on_gpu else "process"
    many = "GPUs" if on_gpu else "processes"
    columns = [
        many, "accumulation", "clips at a time", "training h", "tests h", "profiles h", "all h",
        f"{noun}-hours",
    ]  # fmt: skip
    grid = Grid("Dry run: the whole sweep (estimate)", _head_of_sweep(plan, runs, on_gpu), columns)
    side_by_side = min(workers, len(plan.trainings))
    for count in GPUS if on_gpu else (1,):
        for accumulate in (False, True):
            chosen = [share(kind, run, count, accumulate) for kind, run in runs]
            sizes = [steps.at_a_time for steps in chosen if steps is not None]
            if accumulate and all(kind.clips <= count for kind, _ in runs):
                continue  # a GPU has one clip: there is nothing to accumulate
            hours = sweep_hours(plan, runs, count, accumulate)
            if not on_gpu and isinstance(hours, Hours):
                hours = hours.at_a_time(side_by_side)
            parallel = count if on_gpu else side_by_side
            grid.rows.append(
                [
                    str(parallel),
                    "with" if accumulate else "without",
                    span(sizes) if sizes else ABSENT,
                    *_hours(hours, parallel),
                ]
            )
    return grid


def _head_of_sweep(plan: Plan, runs: Runs, on_gpu: bool) -> list[str]:
    tests = (
        "tests: from validation videos of 20 frames in all, or one longer one, with random weights "
        "that find up to 10 instances in a window, in proportion to frames"
    )
    if untimed := [kind.name for kind, run in runs if kind.evaluations and run.tests is None]:
        tests += f"; from the preset's {plan.preset.evaluation_seconds:.3g} s for {_some(untimed)}"
    scaling = (
        "GPUs divide every batch: an estimate with linear scaling, no communication was measured. "
        "Tests and profiles run on one GPU while the others wait, which counts as GPU-hours"
        if on_gpu
        else "each process trains one network (--workers of them at a time): an estimate from one "
        "that was alone"
    )
    loaders = max(run.loaders for _, run in runs)
    loading = (
        f"{loaders} processes for each GPU load ahead: the slower of loading and training counts"
        if loaders and on_gpu
        else "the time to load a batch is added to that of an iteration"
    )
    return [
        f"{len(plan.trainings)} trainings, {len(plan.evaluations)} evaluations and "
        f"{len(plan.profiles)} profiles, whether they exist already or not",
        scaling,
        loading,
        "with accumulation: the most clips at a time that fit, up to half of what a process has",
        tests,
        f"profiles: estimated as in a plan without --dry-run ({plan.preset.timed})",
    ]


def space_grid(plan: Plan, runs: Runs) -> Grid:
    """Disk space of what the sweep writes."""
    head = ["what `run` writes under --runs and --results; a set of videos is not in it"]
    grid = Grid("Dry run: disk (estimate)", head, ["files", "number", "GB", "source"])
    spaces = sweep_space(plan, runs)
    for space in [*spaces, Space("all", sum(s.files for s in spaces), _sum(spaces), "")]:
        size = f"{space.bytes * SPACE.scale:.3f}"
        grid.rows.append([space.what, str(space.files), size, space.source])
    return grid


def _sum(spaces: Sequence[Space]) -> float:
    return sum(space.bytes for space in spaces)


def _clips(kind: Kind, steps: Steps) -> str:
    if steps.at_a_time == kind.clips:
        return f"{steps.at_a_time} (the batch)"
    return str(steps.at_a_time)


def _seconds(steps: Steps) -> list[str]:
    """Median, range and number of the timed iterations."""
    if not steps.fits:
        return [f"out of memory at {amount(steps)}", ABSENT, "0"]
    low, high = min(steps.seconds), max(steps.seconds)
    return [
        STEP_TIME.number(steps.typical_seconds),
        f"{STEP_TIME.number(low)} to {STEP_TIME.number(high)}",
        str(len(steps.seconds)),
    ]


def _value(kind: Kind, run: DryRun, steps: Steps) -> dict[str, object]:
    return {
        "training": kind.name,
        "runs": len(kind.trainings),
        "clips": kind.clips,
        "clips_at_a_time": steps.at_a_time,
        "frame_size": list(run.frame_size),
        "peak_bytes": steps.peak_bytes,
        "reserved_bytes": steps.reserved_bytes,
        "seconds": list(steps.seconds),
        "load_seconds": list(run.load_seconds),
    }


def _hours(hours: Hours | list[str], parallel: int) -> list[str]:
    if not isinstance(hours, Hours):
        return [ABSENT, ABSENT, ABSENT, f"does not run: {_some(hours)}", ABSENT]
    shown = (hours.training, hours.testing, hours.profiling, hours.total, hours.total * parallel)
    return [_rounded(value) for value in shown]


def _rounded(hours: float) -> str:
    return f"{hours:.2f}" if hours < 100 else f"{hours:.0f}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
