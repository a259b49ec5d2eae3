"""The training loop: deterministic for a seed on a CPU, and resumable in the middle to the bit."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifc_bench.config import Optimisation, Training
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import losses
from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Target

LOSSES = ("classes", "focal", "dice")


@dataclass
class Curves:
    """What a training leaves behind besides its weights.

    Attributes:
        loss: the total of each iteration.
        parts: the weighted losses of each iteration, by name.
        accuracy: (iteration, AP) pairs on the validation split.
        seconds: wall time spent, over all sessions of the training.
        diverged_at: the iteration whose loss was not finite, or None.
    """

    loss: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in LOSSES})
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    diverged_at: int | None = None


@dataclass
class Hooks:
    """What the trainer is given from outside; all may be left out.

    Attributes:
        score: the validation AP of the model as it stands, for the AP curve.
        progress: told of iterations done and the last loss.
        checkpoint_every: seconds between checkpoints.
    """

    score: Callable[[IFC], float] | None = None
    progress: Callable[[int, float], None] | None = None
    checkpoint_every: float = 20.0


class Trainer:
    """One training. `run` goes on from the checkpoint at `path` where there is one."""

    def __init__(
        self, work: Training, data: VideoDataset, path: Path, device: str, hooks: Hooks
    ) -> None:
        if work.model.classes != len(data.category_ids):
            raise UserError(
                f"{data.folder / 'instances.json'}: categories: has {len(data.category_ids)}, "
                f"model.classes is {work.model.classes}; they must agree"
            )
        torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
        torch.manual_seed(work.seed)
        self.work, self.data, self.path, self.hooks = work, data, path, hooks
        self.device = torch.device(device)
        model = build_model(work.model).to(self.device).to(memory_format=torch.channels_last)
        self.model: IFC = model.train()
        self.optimiser = _optimiser(self.model, work.optimisation)
        self.curves = Curves()
        self.iteration = 0
        if path.exists():
            self._resume()

    def run(self) -> Curves:
        """Train to the end, or until the loss is not finite; leaves the final checkpoint."""
        schedule = self.work.optimisation
        saved = time.monotonic()
        while self.iteration < schedule.iterations and self.curves.diverged_at is None:
            begun = time.monotonic()
            self._step(schedule)
            self._score(schedule)
            self.curves.seconds += time.monotonic() - begun
            if self.hooks.progress:
                self.hooks.progress(self.iteration, self.curves.loss[-1])
            if time.monotonic() - saved > self.hooks.checkpoint_every:
                self._save()
                saved = time.monotonic()
        self._save()
        return self.curves

    def _step(self, schedule: Optimisation) -> None:
        """One iteration: draw, predict, compare, step."""
        batch = draw_batch(self.data, schedule, self.work.seed, self.iteration)
        targets = [
            Target(t.classes.to(self.device), t.masks.to(self.device)) for t in batch.targets
        ]
        prediction = self.model(batch.clips.to(self.device))
        parts = losses(prediction, targets, schedule.loss)
        loss = torch.stack(list(parts.values())).sum()
        values = [loss, *parts.values()]
        self._note(torch.stack([v.detach() for v in values]))
        if not math.isfinite(self.curves.loss[-1]):
            self.curves.diverged_at = self.iteration
            return
        self._set_rate(schedule)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), schedule.clip_norm)
        self.optimiser.step()
        self.iteration += 1

    def _note(self, values: Tensor) -> None:
        total, *parts = values.tolist()
        self.curves.loss.append(total)
        for name, value in zip(LOSSES, parts, strict=True):
            self.curves.parts[name].append(value)

    def _set_rate(self, schedule: Optimisation) -> None:
        """Linear warm-up, then the step schedule."""
        drops = sum(self.iteration >= at for at in schedule.drop_at)
        warm = min(1.0, (self.iteration + 1) / (schedule.warmup + 1))
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * warm * 0.1**drops

    def _score(self, schedule: Optimisation) -> None:
        every = schedule.curve_every
        if not (every and self.hooks.score) or self.iteration % every or self.curves.diverged_at:
            return
        self.model.eval()
        self.curves.accuracy.append((self.iteration, self.hooks.score(self.model)))
        self.model.train()

    def _save(self) -> None:
        """Write the checkpoint aside and move it into place."""
        state = {
            "work": self.work.id,
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": torch.get_rng_state(),
            "curves": vars(self.curves),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".partial")
        torch.save(state, aside)
        os.replace(aside, self.path)

    def _resume(self) -> None:
        state = read_checkpoint(self.path, self.work)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["generator"])
        self.curves = Curves(**state["curves"])
        self.iteration = state["iteration"]


def _optimiser(model: IFC, schedule: Optimisation) -> torch.optim.AdamW:
    backbone = list(model.backbone.parameters())
    chosen = {id(parameter) for parameter in backbone}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    slow = schedule.learning_rate * schedule.backbone_multiplier
    groups = [
        {"params": rest, "base_lr": schedule.learning_rate},
        {"params": backbone, "base_lr": slow},
    ]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)


def read_checkpoint(path: Path, work: Training) -> dict[str, Any]:
    """The state that `Trainer` saved for `work`.

    Raises:
        UserError: where the file is broken or belongs to another training.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}); delete it to train again"
        ) from error
    if state.get("work") != work.id:
        raise UserError(
            f"{path}: work: belongs to training {state.get('work')}, expected {work.id}; move it "
            "away to train again"
        )
    return state


def trained_model(path: Path, work: Training, device: str) -> IFC:
    """The finished model of `work` in evaluation mode."""
    state = read_checkpoint(path, work)
    if state["iteration"] < work.optimisation.iterations:
        raise UserError(
            f"{path}: iteration: stopped at {state['iteration']} of "
            f"{work.optimisation.iterations}; run the training to its end first"
        )
    model = build_model(work.model)
    model.load_state_dict(state["model"])
    return model.to(device).to(memory_format=torch.channels_last).eval()
