"""Does one piece of work and writes its record. Runs in its own process."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import torch

from ifc_bench.config import (
    AnyWork,
    Count,
    Data,
    Evaluation,
    Profile,
    Testing,
    Training,
    variant_name,
)
from ifc_bench.data.splits import Splits
from ifc_bench.errors import Stopped, UserError, refuse_full_disk
from ifc_bench.evaluation import as_result, score_images, score_videos
from ifc_bench.file_io import write_text
from ifc_bench.inference import (
    Partial,
    Predictions,
    one_pass,
    predict,
    predict_in_one_pass,
    results_json,
)
from ifc_bench.measuring.counts import counted
from ifc_bench.measuring.memory import out_of_memory
from ifc_bench.measuring.profiles import measure_profiles
from ifc_bench.measuring.settings import settings
from ifc_bench.models.ifc import IFC
from ifc_bench.provenance import provenance
from ifc_bench.records import (
    Record,
    Result,
    Status,
    TrainingResult,
)
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job
from ifc_bench.training.checkpoint import forget, kept_model, trained_model
from ifc_bench.training.first_weights import start_model
from ifc_bench.training.kept_weights import found_weights
from ifc_bench.training.processes import ALONE, Processes
from ifc_bench.training.setup import loaders, prepare
from ifc_bench.training.tensorboard import curves_to
from ifc_bench.training.trainer import Hooks, Trainer

Progress = Callable[..., None]  # stage, done, total, and in training the loss


class Worker:
    """Does work on one device with a fixed number of threads."""

    def __init__(
        self,
        store: Store,
        device: str,
        threads: int,
        progress: Progress,
        tensorboard: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        self.store, self.device, self.threads, self.progress = store, device, threads, progress
        self.tensorboard, self.processes = tensorboard, processes
        self.begin: Callable[[AnyWork], None] = lambda work: None  # called before each piece
        self.saved: Callable[[Path], None] | None = None  # called after each checkpoint
        self._in_training = self._stopping = False
        self._known_splits: dict[Data, Splits] = {}

    def stop(self) -> None:
        """Stop a training run after this iteration, with a checkpoint; stop other work at once.

        Raises:
            Stopped: outside of a training run. A signal handler raises it, so at any point.
        """
        self._stopping = True
        if not self._in_training:
            raise Stopped("stopped; starts over in the next run")

    def prepare(self) -> None:
        """Apply the settings of the whole process.

        Raises:
            UserError: if torch cannot use the requested device.
        """
        prepare(self.device, self.threads)

    def job(self, job: Job) -> list[Record]:
        """Train (or load the checkpoint), then evaluate; every outcome becomes a record."""
        records: list[Record] = []
        if not job.kept:
            data = self._splits(job.training.data)
            self.begin(job.training)
            records.append(self._train(job.training, data))
            if records[0].status != "ok":
                return records
        if not self.processes.first:
            return records
        left = [e for e in job.evaluations if not self.store.done(e)]
        passes = (self._evaluate(some, self._tested(some[0])) for some in one_pass(left))
        return [*records, *chain.from_iterable(passes)]

    def counts(self, counts: list[Count]) -> list[Record]:
        """Count MACs on the meta device."""
        records: list[Record] = []
        if not self.processes.first:
            return records
        for count in counts:
            self.begin(count)
            records.append(self._save(count, None, "ok", counted(count)))
        return records

    def profiles(self, profiles: list[Profile]) -> list[Record]:
        """Measure profiles in turn, each in fresh processes."""
        if not self.processes.first:
            return []

        def progress(work: Profile | None, done: int, total: int) -> None:
            if work is None:
                return self.progress("wait for another measurement on this machine", done, total)
            self.begin(work)
            self.progress(f"profile {variant_name(work.model)} T={work.window}", done, total)

        return list(measure_profiles(profiles, self.store, self.device, progress))

    def _splits(self, data: Data) -> Splits:
        if data not in self._known_splits:
            splits = Splits(self.store, data)
            splits.check()
            self._known_splits[data] = splits
        return self._known_splits[data]

    def _tested(self, work: Evaluation) -> Splits:
        """The data that `work` is tested on.

        Raises:
            UserError: if its classes are not as many as the network has.
        """
        data, classes = self._splits(work.tested_on), work.training.model.classes
        if len(data.valid.category_ids) != classes:
            raise UserError(
                f"{data.valid.files.annotations}: categories: there are "
                f"{len(data.valid.category_ids)}, the network of training {work.training.id} has "
                f"{classes} classes; test it on data with as many"
            )
        return data

    def _train(self, work: Training, data: Splits) -> Record:
        path = self.store.checkpoint_path(work)
        known = self.store.load(work)
        done = known is not None and self.store.done(work) and self.store.has_weights(work)
        known, done = self.processes.agreed((known, done))
        if known is not None and done:
            return known
        if known is not None and known.status == "diverged" and self.processes.first:
            forget(path)  # a retry: its checkpoint has diverged
        logged = self.tensorboard and self.processes.first
        hooks = Hooks(
            start=lambda model: start_model(model, work, self.store),
            score=lambda model: self._curve_point(model, work, data),
            progress=lambda done, loss: self.progress(
                "train", done, work.optimisation.iterations, loss
            ),
            log=curves_to(self.store.tensorboard_path(work), work) if logged else None,
            loaders=0 if data.embedded else loaders(),
            stopping=lambda: self._stopping,
            saved=self.saved,
        )
        self._in_training = True
        gpu = torch.device(self.device) if self.device != "cpu" else None
        if gpu is not None:
            torch.cuda.reset_peak_memory_stats(gpu)
        try:
            trainer = Trainer(work, data.train, path, self.device, hooks, self.processes)
            curves = trainer.run()
        except UserError:
            raise
        except Exception as error:
            refuse_full_disk(error)
            record = self._failure(work, data.digest, error)
            if self.processes.count > 1:
                raise  # the others would wait for this process
            return record
        finally:
            self._in_training = False
        result = TrainingResult(
            loss=[_exact(v) for v in curves.loss],
            loss_parts={k: [_exact(v) for v in vs] for k, vs in curves.parts.items()},
            accuracy_curve=curves.accuracy,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            wall_seconds=curves.seconds,
            diverged_at=curves.diverged_at,
            new_parameters=curves.new_parameters,
            curve_step=curves.every,
            settings=settings(torch.device(self.device)),
            processes=self.processes.count,
            peak_allocated_bytes=torch.cuda.max_memory_allocated(gpu) if gpu is not None else None,
        )
        status: Status = "ok" if curves.diverged_at is None else "diverged"
        if known is not None and self.store.done(work):
            return known  # trained again only for its weights: the record is kept
        return self._save(work, data.digest, status, result)

    def _curve_point(self, model: IFC, work: Training, data: Splits) -> float:
        found = predict(model, data.valid, Testing.of_curve(work.optimisation))
        return score_videos(data.valid.instances, found.tracks).summary()["AP"]

    def _evaluate(self, works: list[Evaluation], data: Splits) -> list[Record]:
        """Evaluate in one pass over the videos; where that fails, each work by itself."""
        windows = ", ".join(str(work.window or "video") for work in works)

        def progress(done: int, total: int) -> None:
            self.progress(f"evaluate T={windows}", done, total)

        # If the process is killed, this one is recorded as failed, and the others are done again.
        self.begin(max(works, key=lambda work: work.window or math.inf))
        try:
            model = self._model(works[0])
            with ExitStack() as stack:  # partial results without a video are deleted
                kept = [stack.enter_context(self._partial(work)) for work in works]
                found = predict_in_one_pass(model, data.valid, works, progress, kept)
        except UserError:
            raise
        except Exception as error:
            refuse_full_disk(error)
            if len(works) > 1:  # what fails, such as the longest window, takes no other along
                return [record for work in works for record in self._evaluate([work], data)]
            return [self._failure(works[0], data.digest, error)]
        records = [self._scored(work, some, data) for work, some in zip(works, found, strict=True)]
        for partial in kept:
            partial.done()
        return records

    def _scored(self, work: Evaluation, found: Predictions, data: Splits) -> Record:
        try:
            write_text(self.store.predictions_path(work), results_json(found))
            score = score_images if work.protocol == "image" else score_videos
            scores = score(data.valid.instances, found.tracks)
            result = as_result(scores, data.valid.instances, found.count, found.seconds)
            used = settings(torch.device(self.device))
            result = result.model_copy(update={"settings": used})
        except UserError:
            raise
        except Exception as error:
            refuse_full_disk(error)
            return self._failure(work, data.digest, error)
        return self._save(work, data.digest, "ok", result)

    def _weights(self, work: Evaluation) -> Path:
        if work.weights == "kept":
            return found_weights(self.store, work.training)
        return self.store.checkpoint_path(work.training)

    def _model(self, work: Evaluation) -> IFC:
        load = kept_model if work.weights == "kept" else trained_model
        return load(self._weights(work), work.training, self.device)

    def _partial(self, work: Evaluation) -> Partial:
        """The videos that an interrupted evaluation of the same weights, code and device did."""
        here = provenance(self.device, self.threads)
        same = (
            self._weights(work).stat().st_mtime_ns,
            *(here.git_revision, here.git_dirty, here.device.name),
        )
        request = " ".join(map(str, (work.id, *same)))
        return Partial(self.store.predictions_path(work), request)

    def _failure(self, work: AnyWork, digest: str, error: Exception) -> Record:
        status: Status = "out_of_memory" if out_of_memory(error) else "failed"
        return self._save(work, digest, status, None, traceback.format_exc())

    def _save(
        self,
        work: AnyWork,
        digest: str | None,
        status: Status,
        result: Result | None,
        error: str | None = None,
    ) -> Record:
        where = provenance(self.device, self.threads)
        record = Record.of(work, where, result, status=status, split_hash=digest, error=error)
        if self.processes.first:
            self.store.save(record)
        return record


def _exact(value: float) -> float | None:
    """Round a float32 to nine digits, which identify it; None if it is not finite."""
    return float(f"{value:.9g}") if math.isfinite(value) else None
