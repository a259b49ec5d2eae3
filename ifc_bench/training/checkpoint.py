"""Reads checkpoints of training runs: to resume, or for the final weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifc_bench.config import InferenceForm, Training
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.models.tensor_file import DamagedError, read_tensors, tensor_fault
from ifc_bench.training.kept_weights import read_kept

_PARTS = frozenset({"work", "iteration", "model", "optimiser", "curves"})


def read_checkpoint(path: Path, work: Training) -> dict[str, Any]:
    """Read the state that `Trainer` saved for `work`.

    Raises:
        UserError: if the file is damaged or belongs to another training run.
    """
    try:
        state: dict[str, Any] = read_tensors(path)
    except (OSError, DamagedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{path}: not a readable checkpoint ({reason}); delete it to train again"
        ) from error
    parts = _PARTS if work.optimisation.average is None else _PARTS | {"averaged"}
    whole = isinstance(state, dict) and state.keys() >= parts and isinstance(state["model"], dict)
    if not whole or not isinstance(state["iteration"], int):
        raise UserError(
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
