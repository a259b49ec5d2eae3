"""Files of tensors as `torch.save` writes them: written whole, read only where nothing is damaged.

torch itself does not look at the checksums in its zip, so a flipped bit would become a weight.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifc_bench.errors import refuse_irregular


class DamagedError(Exception):
    """A file that is not what `torch.save` wrote; the message says why, without the file."""


def read_tensors(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU; code in it is refused and not run.

    Raises:
        UserError: if it is a device or a pipe.
        DamagedError: if its checksums do not fit, or it is no such file.
        OSError: if it cannot be read.
    """
    refuse_irregular(path)
    try:
        if zipfile.is_zipfile(path):
            _check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of other archives: they are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, DamagedError):
        raise
    except Exception as error:
        raise DamagedError(f"{type(error).__name__}: {_reason(str(error))}") from error


def _reason(message: str) -> str:
    """torch's message in short, without its advice to let the file run code."""
    message = message.rpartition("WeightsUnpickler error:")[2]
    return " ".join(message.split())[:80]


def _check(path: Path) -> None:
    """Refuse a zip that torch did not write, or whose content is not what its checksums say."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise DamagedError("is compressed, which torch.save never does")
        broken = archive.testzip()
    if broken is not None:
        raise DamagedError(
            f"the checksum of {broken[:60]} does not fit, so its content was changed"
        )


def tensor_fault(tensor: Tensor) -> str | None:
    """Why a tensor is none of a state dict's; None where it is one."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested
    if not dense or tensor.device.type == "meta":
        return "is sparse, quantised or without numbers, expected a dense tensor"
    there = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > there:
        return f"has shape {list(tensor.shape)}, and the file {there} bytes for it"
    return None


def write_tensors(state: dict[str, Any], path: Path) -> None:
    """Write a whole file aside, down to the disk, then move it into place.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file.
    """
    aside = path.with_suffix(".partial")
    try:
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        aside.unlink(missing_ok=True)  # a full disk must not stay full of it
        refusal = _refusal(error)
        if refusal is not None:
            raise OSError(refusal.errno, refusal.strerror, str(path)) from None
        raise


def _refusal(error: BaseException | None) -> OSError | None:
    """What the system said; torch hides it behind an error of its own zip writer."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
