"""Time and disk space of a whole sweep, from a dry run of each kind of training in it. No torch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ifc_bench.config import Evaluation, Training
from ifc_bench.recipe import Preset
from ifc_bench.records.dry_run import DryRun, Steps
from ifc_bench.sweep.plan import Plan, variant

# Mean bytes of the embedded benchmark's records in `results/baseline`.
_POINT_BYTES, _EVALUATION_BYTES, _PROFILE_BYTES, _COUNT_BYTES = 50, 11_000, 7_000, 1_000


@dataclass(frozen=True)
class Kind:
    """Training runs of a plan that differ only in their seeds, so that one dry run is for all.

    Attributes:
        name: unique among the kinds of a plan.
        evaluations: of the first training run; the others have as many.
    """

    name: str
    trainings: tuple[Training, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def first(self) -> Training:
        """The training run that is measured."""
        return self.trainings[0]

    @property
    def clips(self) -> int:
        """Clips of a batch."""
        return self.first.optimisation.clips


def kinds(plan: Plan) -> list[Kind]:
    """Group the training runs of a plan by model, schedule, data and kind of initial weights."""
    groups: dict[tuple[object, ...], list[Training]] = defaultdict(list)
    for training in plan.trainings:
        start = training.start.kind if training.start else None
        groups[training.model, training.optimisation, training.data, start].append(training)
    names = Counter(variant(group[0]) for group in groups.values())
    found = []
    for group in groups.values():
        name, first = variant(group[0]), group[0]
        if names[name] > 1:
            name = f"{name} ({first.id[:6]})"
        tests = tuple(e for e in plan.evaluations if e.training.id == first.id)
        found.append(Kind(name, tuple(group), tests))
    return found


def share(kind: Kind, run: DryRun, gpus: int, accumulate: bool) -> Steps | None:
    """Return the iterations to expect of a GPU with its part of every batch.

    With `accumulate`, the largest of them that fits with at most half of its part at a time (a part
    of one clip stays whole). None if `gpus` do not divide the batch.
    """
    part, rest = divmod(kind.clips, gpus)
    if rest:
        return None
    if not accumulate or part == 1:
        return run.at(part)
    smaller = [steps for steps in run.steps if steps.at_a_time <= part // 2]
    return next((steps for steps in smaller if steps.fits), smaller[-1])


def amount(steps: Steps) -> str:
    """Return "1 clip" or "8 clips"."""
    return f"{steps.at_a_time} clip{'s'[: steps.at_a_time > 1]}"


def iteration_seconds(run: DryRun, steps: Steps, gpus: int) -> float:
    """Estimate the time of an iteration of `gpus`, each with an equal part of the batch.

    Beside a GPU the loader processes load ahead, so the slower of loading and training decides.
    Without them, and on a CPU, which they share with the training, both add up.
    """
    busy, load = steps.typical_seconds / gpus, median(run.load_seconds)
    if run.loaders and run.on_gpu:
        return max(busy, load / min(run.loaders * gpus, run.cores))
    return busy + load / gpus


def seconds_of_tests(kind: Kind, run: DryRun, preset: Preset) -> float:
    """Estimate the time of all tests of one training run, points of its AP curve included."""
    if run.tests is None:
        return len(kind.evaluations) * preset.evaluation_seconds
    schedule = kind.first.optimisation
    points = schedule.iterations // schedule.curve_every if schedule.curve_every else 0
    return (run.tests.seconds + points * run.tests.curve_seconds) / run.tests.share


@dataclass(frozen=True)
class Hours:
    """Time of a sweep: training on all GPUs, then what one GPU does while the others wait."""

    training: float
    testing: float
    profiling: float

    @property
    def total(self) -> float:
        return self.training + self.testing + self.profiling

    def at_a_time(self, processes: int) -> Hours:
        """Return the time of `processes` that train and test side by side; profiles are alone."""
        return Hours(self.training / processes, self.testing / processes, self.profiling)


def sweep_hours(
    plan: Plan, runs: Sequence[tuple[Kind, DryRun]], gpus: int, accumulate: bool
) -> Hours | list[str]:
    """Estimate the time on `gpus`, or name the kinds of training that do not run on them."""
    failing, training, testing = [], 0.0, 0.0
    for kind, run in runs:
        steps = share(kind, run, gpus, accumulate)
        if steps is None:
            failing.append(f"{kind.name} ({kind.clips} clips do not divide)")
        elif not steps.fits:
            failing.append(f"{kind.name} (out of memory at {amount(steps)})")
        else:
            iterations = len(kind.trainings) * kind.first.optimisation.iterations
            training += iterations * iteration_seconds(run, steps, gpus)
            testing += len(kind.trainings) * seconds_of_tests(kind, run, plan.preset)
    if failing:
        return failing
    profiling = plan.profiling_seconds(len(plan.profiles))
    return Hours(training / 3600, testing / 3600, profiling / 3600)


@dataclass(frozen=True)
class Space:
    """Files of one sort: their number, their bytes in all, and the source of the size."""

    what: str
    files: int
    bytes: float
    source: str


def sweep_space(plan: Plan, runs: Sequence[tuple[Kind, DryRun]]) -> list[Space]:
    """Estimate the disk space of what a sweep writes."""
    known, predictions, points = plan.preset.checkpoint_bytes, 0.0, 0
    checkpoints = 0
    for kind, run in runs:
        count, schedule = len(kind.trainings), kind.first.optimisation
        checkpoints += count * (run.checkpoint_bytes or known)
        points += count * (schedule.iterations // schedule.curve_step)
        if run.tests is not None:
            predictions += count * run.tests.predictions_bytes / run.tests.share
    written = all(run.checkpoint_bytes for _, run in runs)
    records = (
        points * _POINT_BYTES
        + len(plan.evaluations) * _EVALUATION_BYTES
        + len(plan.profiles) * _PROFILE_BYTES
        + len(plan.counts) * _COUNT_BYTES
    )
    every = (plan.counts, plan.trainings, plan.evaluations, plan.profiles)
    return [
        Space(
            "checkpoints",
            len(plan.trainings),
            checkpoints,
            "measured: one of each training was written and removed"
            if written
            else "measured; where no iteration fitted, the preset's estimate",
        ),
        Space(
            "predictions",
            len(plan.evaluations),
            predictions,
            "estimated from some videos and random weights",
        ),
        Space(
            "records",
            sum(map(len, every)),
            records,
            "estimated from records of the embedded benchmark",
        ),
    ]
