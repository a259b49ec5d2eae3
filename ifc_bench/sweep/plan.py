"""Plans the work of a set of tables: needed, existing and shared. Runs nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ifc_bench.config import (
    AnyWork,
    Arithmetic,
    Count,
    Evaluation,
    FullTHW,
    Profile,
    SyntheticData,
    Training,
    spoken,
)
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.records import Device
from ifc_bench.store import Store

_CLIP_FRAMES = 5  # of nearly all training runs, so labels omit it
_TYPICAL_VIDEOS = 220  # held out of a real training set, for estimates
_PROCESS_START_SECONDS = 3  # mostly to import torch; for estimates


@dataclass(frozen=True)
class Job:
    """A training run, new or existing, and the evaluations that need it.

    With `kept` they need its kept weights alone, and it is not run.
    """

    training: Training
    evaluations: tuple[Evaluation, ...]
    kept: bool = False

    @property
    def key(self) -> str:
        """The name of its claim."""
        return f"{self.training.id}{'-kept' if self.kept else ''}"

    def finished(self, store: Store) -> bool:
        """Return whether nothing of it is left, because another runner did it."""
        known = store.outcome(self.training)
        if (
            not self.kept
            and known is not None
            and known.status != "ok"
            and store.done(self.training)
        ):
            return True  # it diverged, or ran out of memory
        trained = self.kept or (store.done(self.training) and store.has_weights(self.training))
        return trained and all(store.done(one) for one in self.evaluations)

    @property
    def start(self) -> Training | None:
        """The training run that must come before."""
        start = self.training.start
        return start if isinstance(start, Training) and not self.kept else None


@dataclass(frozen=True)
class Plan:
    """All work of a set of tables, each piece once, in the order of execution.

    Attributes:
        needed_by: the tables that need each piece of work, by id.
    """

    preset: Preset
    counts: tuple[Count, ...]
    trainings: tuple[Training, ...]
    evaluations: tuple[Evaluation, ...]
    profiles: tuple[Profile, ...]
    needed_by: dict[str, tuple[str, ...]]

    def missing(self, store: Store) -> list[str]:
        """Describe the missing work, as in "4 evaluations not run"; the largest group first."""
        works: list[AnyWork] = [*self.counts, *self.trainings, *self.evaluations, *self.profiles]
        found: Counter[tuple[str, str]] = Counter()
        for work in works:
            record = store.outcome(work)
            if record is None or record.status != "ok":
                reason = "not run" if record is None else record.status.replace("_", " ")
                found[work.kind, reason] += 1
        return [
            f"{number} {kind}{'s' if number > 1 else ''} {reason}"
            for (kind, reason), number in found.most_common()
        ]

    def counts_left(self, store: Store) -> list[Count]:
        """Return the MACs that still have to be counted."""
        return [count for count in self.counts if not store.done(count)]

    def jobs(self, store: Store) -> list[Job]:
        """Return the training runs and evaluations that still have to be done."""
        waiting: dict[str, list[Evaluation]] = defaultdict(list)
        of_kept: dict[str, list[Evaluation]] = defaultdict(list)
        for evaluation in self.evaluations:
            if not store.done(evaluation):
                group = of_kept if evaluation.weights == "kept" else waiting
                group[evaluation.training.id].append(evaluation)
        profiled = [profile.weights for profile in self.profiles_left(store)]
        wanted = {weights.id for weights in profiled if isinstance(weights, Training)}
        wanted |= self._starts_missing(store)
        jobs = []
        for training in self.trainings:
            record = store.outcome(training)
            if record is not None and record.status != "ok" and store.done(training):
                continue
            left = tuple(waiting[training.id])
            weights = store.has_weights(training)
            if not store.done(training) or left or (training.id in wanted and not weights):
                jobs.append(Job(training, left))
        return jobs + [Job(found[0].training, tuple(found), True) for found in of_kept.values()]

    def _starts_missing(self, store: Store) -> set[str]:
        """Return the ids of training runs that missing training runs start from."""
        return {
            training.start.id
            for training in self.trainings
            if isinstance(training.start, Training) and self._to_train(training, store)
        }

    def _to_train(self, training: Training, store: Store) -> bool:
        return not (store.done(training) and store.has_weights(training))

    def profiles_left(self, store: Store) -> list[Profile]:
        """Return the profiles that still have to be measured."""
        return [profile for profile in self.profiles if not store.done(profile)]

    def precisions_left(self, store: Store) -> list[Arithmetic]:
        """Return the precisions of the tests and profiles that still have to be done, each once."""
        tests = [test for job in self.jobs(store) for test in job.evaluations]
        works: list[Evaluation | Profile] = [*tests, *self.profiles_left(store)]
        return sorted({work.precision for work in works})

    def trains(self, job: Job, store: Store) -> bool:
        """Return whether `job` has iterations to run: its record or its checkpoint is missing."""
        return not job.kept and self._to_train(job.training, store)

    def seconds(self, store: Store, workers: int) -> float:
        """Estimate the remaining time from the preset's own timings."""
        busy, alone = self.shared_and_alone(store)
        return busy / min(workers, max(len(self.jobs(store)), 1)) + alone

    def shared_and_alone(self, store: Store) -> tuple[float, float]:
        """Estimate the time of jobs, one after the other, and of profiles, which have one GPU."""
        preset = self.preset
        jobs = self.jobs(store)
        evaluations = sum(len(job.evaluations) for job in jobs)
        busy = sum(preset.seconds_of(job.training) for job in jobs if self.trains(job, store))
        busy += evaluations * preset.evaluation_seconds
        return busy, self.profiling_seconds(len(self.profiles_left(store)))

    def task_seconds(self, task: object) -> float:
        """Estimate the time of a job, from the preset's own timings; 0 for other tasks."""
        if not isinstance(task, Job):
            return 0.0
        tests = len(task.evaluations) * self.preset.evaluation_seconds
        return tests + (0.0 if task.kept else self.preset.seconds_of(task.training))

    def pieces(self, store: Store) -> int:
        """Count the tasks that are left: jobs, and one for all profiles and one for all counts."""
        alone = bool(self.profiles_left(store)) + bool(self.counts_left(store))
        return len(self.jobs(store)) + alone

    def profiling_seconds(self, profiles: int) -> float:
        """Estimate the time of a number of profiles, one after the other."""
        preset = self.preset
        data = preset.video.data
        known = preset.video.size.valid_videos if preset.video.size else _TYPICAL_VIDEOS
        videos = data.validation_videos if isinstance(data, SyntheticData) else max(1, known)
        one_pass = preset.profile_videos * preset.evaluation_seconds / videos
        protocol = preset.profile_protocol
        measured = min(
            max(protocol.min_passes * one_pass, protocol.min_seconds), protocol.max_seconds
        )
        warm_up = max(2 * one_pass, protocol.warm_up_seconds)
        # To masks; half as long to results.json, and for the network. Two passes more: one for the
        # hash of the work, and one over a video for memory.
        timed = 2 * max(measured, 3 * one_pass)
        process = (
            _PROCESS_START_SECONDS + warm_up + timed + one_pass + one_pass / preset.profile_videos
        )
        return profiles * protocol.processes * process


def depth(training: Training) -> int:
    """Return the number of training runs that must come before this one."""
    return 1 + depth(training.start) if isinstance(training.start, Training) else 0


def _start_order(training: Training) -> tuple[int, int, bool]:
    """Return the sort key of the order in which training runs start."""
    longest = isinstance(training.model.communication, FullTHW)
    return training.seed, depth(training), not longest


def label(training: Training) -> str:
    """Return a short name of a training run, for display."""
    return f"{variant(training)} seed {training.seed}"


def variant(training: Training) -> str:
    """Return a short name of a training run without its seed."""
    model = training.model
    words = [spoken(model.communication)]
    if model.decoder != "unified":
        words.append(f"{model.decoder} decoder")
    if model.added_layers_start != "paper":
        words.append("added layers start at zero")
    if model.time_positions:
        words.append("+time")
    if training.optimisation.loss.matching != "masks":
        words.append(f"{training.optimisation.loss.matching} matched")
    if training.optimisation.clip_frames != _CLIP_FRAMES:
        words.append(f"T={training.optimisation.clip_frames}")
    return " ".join(words)


def make_plan(tables: Iterable[AnyTable], preset: Preset, device: Device) -> Plan:
    """Plan the work of `tables`; profiles are keyed by `device`.

    The order is by seed, so that a sweep stopped early has all variants at n seeds. Within a seed
    the longest training run comes first, so that no worker waits long for another at the end.
    """
    trainings: dict[str, Training] = {}
    evaluations: dict[str, Evaluation] = {}
    profiles: dict[str, Profile] = {}
    counts: dict[str, Count] = {}
    needed: dict[str, list[str]] = defaultdict(list)
    for table in tables:
        for work in table.works(preset, device):
            needed[work.id].append(table.name)
            match work:
                case Training():
                    trainings[work.id] = work
                case Evaluation():
                    evaluations[work.id] = work
                case Profile():
                    profiles[work.id] = work
                case Count():
                    counts[work.id] = work
    return Plan(
        preset=preset,
        counts=tuple(counts.values()),
        trainings=tuple(sorted(trainings.values(), key=_start_order)),
        evaluations=tuple(evaluations.values()),
        profiles=tuple(profiles.values()),
        needed_by={key: tuple(dict.fromkeys(names)) for key, names in needed.items()},
    )
