"""Files of tensors written by `torch.save`: atomic writes, and reads that verify checksums.

torch itself does not verify the checksums in its zip, so a flipped bit would change a weight.
"""

from __future__ import annotations

import os
import uuid
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifc_bench.errors import refuse_irregular
from ifc_bench.file_io import settle


class DamagedError(Exception):
    """A damaged file, or one not written by `torch.save`; the message does not name the file."""


def read_tensors(path: Path) -> Any:
    """Read a file written by `torch.save`, on the CPU; a file with code is refused.

    Raises:
        UserError: if it is a device or a pipe.
        DamagedError: if a checksum is wrong, or `torch.save` did not write the file.
        OSError: if it cannot be read.
    """
    refuse_irregular(path)
    try:
        if zipfile.is_zipfile(path):
            _check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about other archives, refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, DamagedError):
        raise
    except Exception as error:
        raise DamagedError(f"{type(error).__name__}: {_reason(str(error))}") from error


def _reason(message: str) -> str:
    """Shorten torch's message, and leave out its advice to allow code in the file."""
    message = message.rpartition("WeightsUnpickler error:")[2]
    return " ".join(message.split())[:80]


def _check(path: Path) -> None:
    """Refuse a zip that torch did not write, or with a wrong checksum."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise DamagedError("is compressed, which torch.save never does")
        broken = archive.testzip()
    if broken is not None:
        raise DamagedError(f"the checksum of {broken[:60]} is wrong, so its content was changed")


def tensor_fault(tensor: Tensor) -> str | None:
    """Describe why a tensor cannot be in a state dict; None if it can."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested
    if not dense or tensor.device.type == "meta":
        return "is sparse, quantised or without data, expected a dense tensor"
    there = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > there:
        return f"has shape {list(tensor.shape)}, but the file has only {there} bytes for it"
    return None


def write_tensors(state: dict[str, Any], path: Path, keep: Path | None = None) -> None:
    """Write a file atomically: to a temporary file, flushed to disk, then renamed, also on disk.

    The file that was at `path` becomes `keep`.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file.
    """
    # Its own name: where a node is cut off, another may already write the same checkpoint.
    aside = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        os.replace(aside, path)
        settle(path.parent)
    except BaseException as error:
        aside.unlink(missing_ok=True)  # so that it does not fill the disk
        refusal = _refusal(error)
        if refusal is not None:
            raise OSError(refusal.errno, refusal.strerror, str(path)) from None
        raise


def _refusal(error: BaseException | None) -> OSError | None:
    """Find the operating system's error, which torch hides behind its zip writer's error."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
