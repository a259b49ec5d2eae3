"""Does the pieces of work of a task and writes their records. Runs in its own process."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from ifc_bench.config import AnyWork, Count, Data, Evaluation, Profile, variant_name
from ifc_bench.data.splits import Splits
from ifc_bench.errors import Stopped, UserError
from ifc_bench.inference import one_pass
from ifc_bench.measuring.counts import counted
from ifc_bench.measuring.memory import out_of_memory
from ifc_bench.measuring.profiles import measure_profiles
from ifc_bench.provenance import provenance
from ifc_bench.records import Record, Result, Status
from ifc_bench.store import Store
from ifc_bench.sweep.evaluate import evaluate
from ifc_bench.sweep.plan import Job
from ifc_bench.sweep.train import train
from ifc_bench.training.processes import ALONE, Processes
from ifc_bench.training.setup import prepare

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
        self.clips_at_once: int | None = None
        self.loaders: int | None = None
        self.failed: Record | None = None  # the last failure, recorded
        self.in_training = self.stopping = False
        self._known_splits: dict[Data, Splits] = {}

    def stop(self) -> None:
        """Stop a training run after this iteration, with a checkpoint; stop other work at once.

        Raises:
            Stopped: outside of a training run. A signal handler raises it, so at any point.
        """
        self.stopping = True
        if not self.in_training:
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
            records.append(train(self, job.training, data))
            if records[0].status != "ok":
                return records
        if not self.processes.first:
            return records
        left = [e for e in job.evaluations if not self.store.done(e)]
        passes = (evaluate(self, some, self._tested(some[0])) for some in one_pass(left))
        return [*records, *chain.from_iterable(passes)]

    def counts(self, counts: list[Count]) -> list[Record]:
        """Count MACs on the meta device."""
        records: list[Record] = []
        if not self.processes.first:
            return records
        for count in counts:
            self.begin(count)
            records.append(self.save(count, None, "ok", counted(count)))
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

    def failure(self, work: AnyWork, digest: str, error: Exception) -> Record:
        status: Status = "out_of_memory" if out_of_memory(error) else "failed"
        self.failed = self.save(work, digest, status, None, traceback.format_exc())
        return self.failed

    def save(
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
