"""Training loop: deterministic for a seed on a CPU, with bit-exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ifc_bench.config import Optimisation, Training
from ifc_bench.data.loading import TrainingBatches, VideoDataset
from ifc_bench.data.transforms import Batch
from ifc_bench.errors import Stopped, UserError
from ifc_bench.models.arithmetic import settle_tf32
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import Normalisers, losses, normalisers
from ifc_bench.models.dropout import of_clips
from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Target
from ifc_bench.training.checkpoint import shared_state, write_checkpoint
from ifc_bench.training.consistency import check
from ifc_bench.training.hooks import Curves, Hooks
from ifc_bench.training.processes import ALONE, Processes
from ifc_bench.training.schedule import averaged, make_optimiser, set_rate

_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Trainer:
    """One training run. `run` resumes from the checkpoint at `path` if it exists.

    With several `processes`, each takes its part of every batch, and the gradients are those of
    the whole batch. All of them must be able to read `path`.

    It sets torch for the whole process: deterministic algorithms (on a GPU a warning where there is
    none), and no TF32.
    """

    def __init__(
        self,
        work: Training,
        data: VideoDataset,
        path: Path,
        device: str,
        hooks: Hooks,
        processes: Processes = ALONE,
    ) -> None:
        check(work, data, processes)
        settle_tf32("fp32")
        torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
        # A debugging aid of deterministic mode, which takes 3% of the time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.manual_seed(work.seed)
        self.work, self.data, self.path, self.hooks = work, data, path, hooks
        self.device, self.processes = torch.device(device), processes
        model = build_model(work.model)
        self.curves = Curves(every=work.optimisation.curve_step)
        self.iteration, self.loss, self.parts = 0, math.nan, dict[str, float]()
        self._stopping = False
        state = shared_state(path, work, processes)
        if hooks.start and state is None and processes.first:  # the others are given its weights
            self.curves.new_parameters = hooks.start(model)
        model = model.to(self.device).to(memory_format=torch.channels_last)
        self.model: IFC = model.train()
        self.optimiser = make_optimiser(self.model, work.optimisation)
        half = work.optimisation.precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.average = averaged(self.model, work.optimisation)
        if state is not None:
            self._resume(state)
        self._forward = self._wrapped()

    def run(self) -> Curves:
        """Train to the end, or until loss, gradient or weights are not finite.

        Writes the final checkpoint.

        Raises:
            Stopped: if `hooks.stopping` returns True; the current checkpoint is written first.
        """
        schedule = self.work.optimisation
        saved = begun = time.monotonic()
        pause = 0.0
        self._score(schedule)  # where a stop came before the point of a curve
        free = time.monotonic()
        for batch in self._batches(schedule):
            self.curves.waiting += time.monotonic() - free
            self._step(schedule, batch)
            if self.curves.diverged_at is not None:
                break
            self._score(schedule)
            self.curves.seconds += time.monotonic() - begun
            begun = time.monotonic()
            if self.curves.diverged_at is not None:
                break
            self._tell()
            if self._stopping:
                self._stop()
            if time.monotonic() - saved > max(self.hooks.checkpoint_every, pause):
                saved = time.monotonic()
                self._save()
                pause = min(50 * (time.monotonic() - saved), 30 * self.hooks.checkpoint_every)
            free = time.monotonic()
        if self.curves.diverged_at is None and not self._finite():
            self.curves.diverged_at = self.iteration
        self._save()
        self.processes.wait()
        return self.curves

    def _stop(self) -> NoReturn:
        self._save()
        iterations = self.work.optimisation.iterations
        raise Stopped(f"kept at iteration {self.iteration} of {iterations}")

    def _wrapped(self) -> Callable[..., Any]:
        """Wrap the model: compiled, and with gradients averaged over processes."""
        called: Any = self.model
        if self.work.optimisation.compiled:
            called = torch.compile(called)
        if self.processes.count > 1:
            devices = [self.device.index] if self.device.type == "cuda" else None
            called = DistributedDataParallel(called, device_ids=devices)
        return called

    def _batches(self, schedule: Optimisation) -> Iterator[Batch]:
        """Yield the remaining batches, loaded ahead if there are loader processes.

        Raises:
            UserError: if data cannot be read.
        """
        parts = (self.processes.rank, self.processes.count)
        batches = TrainingBatches(self.data, schedule, self.work.seed, *parts)
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=range(self.iteration, schedule.iterations),
            num_workers=self.hooks.loaders,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch

    def _step(self, schedule: Optimisation, batch: Batch) -> None:
        """Run one iteration: forward, loss and backward of each part, then an optimiser step."""
        parts = batch.parts(self.hooks.clips_at_once or len(batch.targets))
        targets = [target.to(self.device) for target in batch.targets]
        whole = None
        if len(parts) > 1:
            queries, average = self.work.model.queries, self.processes.average
            whole = normalisers(targets, queries, schedule.loss, average)
        seeds, begun, totals = self._dropout_seeds(), 0, list[Tensor]()
        torch.manual_seed(seeds[0])
        for number, part in enumerate(parts):
            some = slice(begun, begun + len(part.targets))
            begun = some.stop
            with self._apart(number < len(parts) - 1), self._draws(seeds[some]):
                terms = self._losses(schedule, part, targets[some], whole)
                loss = torch.stack(list(terms.values())).sum()
                if number == 0:  # the gradients of the last iteration
                    self.optimiser.zero_grad()
                self.scaler.scale(loss).backward()
            totals.append(torch.stack([v.detach() for v in (loss, *terms.values())]))
        asked = self.hooks.stopping is not None and self.hooks.stopping()
        values = torch.cat([torch.stack(totals).sum(0), totals[0].new_tensor([float(asked)])])
        *means, stops = self.processes.average(values).tolist()
        self._stopping = stops > 0  # of any process, so that all of them stop
        self._note(list(terms), means)
        if not math.isfinite(self.loss):
            self.curves.diverged_at = self.iteration
            return
        set_rate(self.optimiser, schedule, self.iteration)
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), schedule.clip_norm)
        if not self.scaler.is_enabled() and not math.isfinite(norm):
            self.curves.diverged_at = self.iteration
            return
        self.scaler.step(self.optimiser)  # skips the step if scaling made a gradient infinite
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.iteration += 1

    def _losses(
        self, schedule: Optimisation, part: Batch, targets: list[Target], whole: Normalisers | None
    ) -> dict[str, Tensor]:
        """The losses of a part of a batch, with the normalisers of the `whole`."""
        sizes = None if part.valid_sizes is None else part.valid_sizes.to(self.device)
        with self._precision(schedule):
            prediction = self._forward(part.clips.to(self.device, non_blocking=True), sizes)
        return losses(prediction, targets, schedule.loss, self.processes.average, whole=whole)

    def _apart(self, more: bool) -> AbstractContextManager[object]:
        """Leave gradients in this process while `more` parts of its batch are to come."""
        if more and isinstance(self._forward, DistributedDataParallel):
            return self._forward.no_sync()
        return nullcontext()

    def _draws(self, seeds: list[int]) -> AbstractContextManager[object]:
        """Draw for dropout clip by clip; compiled networks draw for the batch."""
        compiled = self.work.optimisation.compiled
        return nullcontext() if compiled else of_clips(seeds, self.device)

    def _dropout_seeds(self) -> list[int]:
        """Derive a seed of each clip here from its place in the batch of all processes.

        So resuming is exact, and the number of processes does not matter.
        """
        places = range(self.processes.rank, self.work.optimisation.clips, self.processes.count)
        keys = ([self.work.seed, 2, self.iteration, place] for place in places)
        return [int(np.random.default_rng(key).integers(1 << 62)) for key in keys]

    def _precision(self, schedule: Optimisation) -> AbstractContextManager[object]:
        if schedule.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, _HALF[schedule.precision])

    def _note(self, names: list[str], values: list[float]) -> None:
        self.loss, *parts = values
        self.parts = dict(zip(names, parts, strict=True))
        if self.iteration % self.curves.every and math.isfinite(self.loss):
            return
        self.curves.loss.append(self.loss)
        for name, value in self.parts.items():
            self.curves.parts.setdefault(name, []).append(value)

    def _tell(self) -> None:
        if self.hooks.progress:
            self.hooks.progress(self.iteration, self.loss)
        if self.hooks.log:
            values = {f"loss/{name}": part for name, part in self.parts.items()}
            values |= {"loss": self.loss, "rate": self.optimiser.param_groups[0]["lr"]}
            if self.curves.accuracy and self.curves.accuracy[-1][0] == self.iteration:
                values["AP"] = self.curves.accuracy[-1][1]
            self.hooks.log(self.iteration, values)

    def _score(self, schedule: Optimisation) -> None:
        every, known = schedule.curve_every, self.curves.accuracy
        if not (every and self.hooks.score) or self.iteration % every or not self.iteration:
            return
        if known and known[-1][0] == self.iteration:
            return
        if not self._finite():
            self.curves.diverged_at = self.iteration
            return
        if self.processes.first:
            # Averaged weights are the final ones, so they are what the curve is of.
            scored: Any = self.model if self.average is None else self.average.module
            scored.eval()
            try:
                self.curves.accuracy.append((self.iteration, self.hooks.score(scored)))
            except Stopped:
                self._stop()
            scored.train()
        self.processes.wait()

    def _finite(self) -> bool:
        """Return whether every weight is finite; a step can overflow with a finite gradient."""
        state = self.model.state_dict().values()
        return all(bool(torch.isfinite(v).all()) for v in state if v.is_floating_point())

    def _save(self) -> None:
        """Write the checkpoint atomically, in the first process."""
        if not self.processes.first:
            return
        final = self.iteration >= self.work.optimisation.iterations
        state = {
            "work": self.work.id,
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            # Two moments a weight, which nothing needs any more in the end.
            "optimiser": {} if final else self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "curves": vars(self.curves),
        }
        if self.average is not None:
            state["averaged"] = self.average.module.state_dict()
        write_checkpoint(state, self.path, final)
        if self.hooks.saved is not None:
            self.hooks.saved(self.path)

    def _resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if state["optimiser"]:  # not in a final checkpoint
            self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state.get("scaler") or {})
        self.curves = Curves(**state["curves"])
        self.iteration = state["iteration"]
        if self.average is not None:
            self.average.module.load_state_dict(state["averaged"])
            self.average.n_averaged.fill_(self.iteration)
