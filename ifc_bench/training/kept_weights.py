"""Final weights in half precision beside the records, small enough for a repository.

A file (safetensors) names its training and has a hash of its content. Half precision rounds the
weights, so a table never takes them for those of the training run: they are the start of other
runs, and are tested as what they are (`Testing.weights`); pictures, attention and `predict` take
them in a clone without the checkpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ifc_bench.config import Training
from ifc_bench.errors import UserError, refuse_irregular
from ifc_bench.file_io import write_bytes, written_aside
from ifc_bench.models.checkpoint import as_released
from ifc_bench.store import Store


def found_weights(store: Store, work: Training) -> Path:
    """Return the file of the kept weights of `work`, in these results or in the clone.

    Raises:
        UserError: if there is none.
    """
    path = store.kept_weights(work)
    if path is None:
        raise UserError(
            f"{store.kept_path(work)}: no such file; take it from the repository, or run the "
            f"training {work.id} and then `keep`"
        )
    return path


def write_kept(path: Path, work: Training, weights: Mapping[str, Tensor]) -> None:
    """Write the final `weights` of `work`, atomically.

    Raises:
        OSError: if they cannot be written.
    """
    from safetensors.torch import save  # a machine that only measures needs no safetensors

    half = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in sorted(weights.items())
    }
    told = {"training": work.id, "sha256": _digest(half), "work": work.model_dump_json()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save(half, told))


def write_released(path: Path, work: Training, weights: Mapping[str, Tensor]) -> None:
    """Write the final `weights` of `work` as a checkpoint of the authors' code, atomically.

    Raises:
        OSError: if it cannot be written.
        UserError: if the released code has no such network.
    """
    released = as_released(weights, work.model, work.optimisation.loss.no_object)
    with written_aside(path) as aside:
        torch.save({"model": released}, aside)


def read_kept(path: Path, work: Training) -> dict[str, Tensor]:
    """Read the weights of `work` in float32, on the CPU.

    Raises:
        UserError: if the file is damaged, or of another training run.
    """
    from safetensors import SafetensorError, safe_open

    refuse_irregular(path)
    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            half = {key: file.get_tensor(key) for key in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not readable weights ({str(error)[:80]}); take the file from the repository "
            "again"
        ) from error
    if told.get("training") != work.id:
        raise UserError(
            f"{path}: training: is {str(told.get('training'))[:40]!r}, expected {work.id}; take "
            "the file of that training"
        )
    if told.get("sha256") != _digest(half):
        raise UserError(
            f"{path}: sha256: the weights are not those that were written; take the file from the "
            "repository again"
        )
    return {
        key: value.float() if value.is_floating_point() else value for key, value in half.items()
    }


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes."""
    found = hashlib.sha256()
    for key, value in sorted(tensors.items()):
        found.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        found.update(value.flatten().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
