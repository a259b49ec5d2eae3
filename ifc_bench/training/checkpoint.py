"""Writes and reads checkpoints of training runs: to resume, or for the final weights."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifc_bench.config import InferenceForm, Training
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.models.tensor_file import DamagedError, read_tensors, tensor_fault, write_tensors
from ifc_bench.store import UNFINISHED
from ifc_bench.training.kept_weights import read_kept
from ifc_bench.training.processes import Processes

_LAG_SECONDS = 120.0  # that a file system may take to show a file on another node
_PARTS = frozenset({"work", "iteration", "model", "optimiser", "curves"})


class DamagedCheckpointError(UserError):
    """A checkpoint that cannot be read, such as one that was cut off."""


def before(path: Path) -> Path:
    """The checkpoint before the one at `path`, kept until the training is final."""
    return path.with_suffix(".before")


def write_checkpoint(state: dict[str, Any], path: Path, final: bool) -> None:
    """Write `state` atomically; a checkpoint that is not final has a mark and the one before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = path.with_suffix(UNFINISHED)
    if not final:
        mark.touch()
    write_tensors(state, path, before(path))
    if final:
        mark.unlink(missing_ok=True)
        before(path).unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Delete the checkpoint at `path`, the one before it, and its mark."""
    for place in (path, before(path), path.with_suffix(UNFINISHED)):
        place.unlink(missing_ok=True)


def last_state(path: Path, work: Training) -> dict[str, Any] | None:
    """Read the newest state of `work` that is readable; None without one.

    A damaged checkpoint is renamed to end in ".damaged", and the one before it is read.

    Raises:
        UserError: if a file belongs to another training run.
    """
    for place in (path, before(path)):
        if not place.exists():
            continue
        try:
            return read_checkpoint(place, work)
        except DamagedCheckpointError as error:
            aside = path.with_suffix(".damaged")
            with suppress(FileNotFoundError):  # another process of this training was faster
                place.replace(aside)
            print(f"note: {error.args[0]}; it is {aside.name} now", file=sys.stderr)
    return None


def shared_state(path: Path, work: Training, processes: Processes) -> dict[str, Any] | None:
    """Read the newest state of `work`, the same in every process; None without one.

    The first process decides; another one waits until it sees the same file.

    Raises:
        UserError: if a file belongs to another training run, or this process does not get to see
            the checkpoint of the first one.
    """
    state = last_state(path, work) if processes.first else None
    reached = processes.agreed(state["iteration"] if state is not None else None)
    if processes.first or reached is None:
        return state
    deadline = time.monotonic() + _LAG_SECONDS
    while state is None or state["iteration"] != reached:
        if time.monotonic() > deadline:
            raise UserError(
                f"{path}: the first process resumes from iteration {reached}, process "
                f"{processes.rank} does not see it; all need the same --runs directory"
            )
        state = next(
            (
                found
                for place in (path, before(path))
                if place.exists()
                and (found := read_checkpoint(place, work))["iteration"] == reached
            ),
            None,
        )
        if state is None:
            time.sleep(1.0)
    return state


def read_checkpoint(path: Path, work: Training) -> dict[str, Any]:
    """Read the state that `Trainer` saved for `work`.

    Raises:
        DamagedCheckpointError: if the file cannot be read.
        UserError: if it belongs to another training run.
    """
    try:
        state: dict[str, Any] = read_tensors(path)
    except (OSError, DamagedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DamagedCheckpointError(
            f"{path}: not a readable checkpoint ({reason}); delete it to train again"
        ) from error
    parts = _PARTS if work.optimisation.average is None else _PARTS | {"averaged"}
    whole = isinstance(state, dict) and state.keys() >= parts and isinstance(state["model"], dict)
    if not whole or not isinstance(state["iteration"], int):
        raise DamagedCheckpointError(
            f"{path}: not a checkpoint of a training run, which has {', '.join(sorted(parts))}; "
            "delete it to train again"
        )
    if state.get("work") != work.id:
        raise UserError(
            f"{path}: work: belongs to training {state.get('work')}, expected {work.id}; move it "
            "away to train again"
        )
    return state


def trained_model(path: Path, work: Training, device: str, form: InferenceForm = "shared") -> IFC:
    """Load the finished model of `work`, in a form for inference."""
    model = _filled(path, work, finished_weights(path, work), "delete it to train again")
    return inference_form(model.to(device), form).to(memory_format=torch.channels_last)


def kept_model(path: Path, work: Training, device: str) -> IFC:
    """Load the model of `work` from weights in half precision, for inference.

    Raises:
        UserError: if the file is damaged, of another training run, or not of this network.
    """
    mend = "take the file from the repository again"
    model = _filled(path, work, read_kept(path, work), mend)
    return inference_form(model.to(device)).to(memory_format=torch.channels_last)


def _filled(path: Path, work: Training, weights: dict[str, Tensor], mend: str) -> IFC:
    model = build_model(work.model)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError):
        raise UserError(
            f"{path}: model: does not match the network of training {work.id}; {mend}"
        ) from None
    return model


def finished_weights(path: Path, work: Training) -> dict[str, Tensor]:
    """Read the final weights of `work`, on the CPU.

    Raises:
        UserError: if the checkpoint is damaged, of another training run, not the final one, or has
            weights that are not finite.
    """
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; run the training {work.id} first")
    state = read_checkpoint(path, work)
    if state["iteration"] < work.optimisation.iterations:
        raise UserError(
            f"{path}: iteration: stopped at {state['iteration']} of "
            f"{work.optimisation.iterations}; run the training to its end first"
        )
    part = "model" if work.optimisation.average is None else "averaged"
    weights: dict[str, Tensor] = state.get(part) or {}
    for key, weight in weights.items():
        if fault := _weight_fault(key, weight):
            raise UserError(
                f"{path}: {part}: {str(key)[:60]}: {fault}; delete it and the record "
                f"trainings/{work.id}.json to train again"
            )
    return weights


def _weight_fault(key: object, weight: object) -> str | None:
    if not isinstance(key, str) or not isinstance(weight, Tensor):
        return f"has {type(weight).__name__}, expected a name with a tensor"
    if fault := tensor_fault(weight):
        return fault
    if weight.is_complex():
        return "has complex numbers"
    return None if torch.isfinite(weight).all() else "has numbers that are not finite"
