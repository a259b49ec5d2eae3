"""Recognises a file of first weights, and checks it, without torch."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

from ifc_bench.config import WeightsFile
from ifc_bench.errors import UserError
from ifc_bench.store import Store

_RELEASED = b"memory_bus"  # a parameter of the released IFC, by its name in the file
_BLOCK = 1 << 20


def adopt_weights(path: Path, store: Store) -> WeightsFile:
    """Link a file of the user in `store`, and return its content and hash.

    Raises:
        UserError: where there is no such file, or it is damaged or no file of weights.
    """
    if not path.is_file():
        there = "is no file" if path.exists() else "no such file"
        raise UserError(f"--weights: {path}: {there}")
    if fault := _fault(path):
        raise UserError(f"--weights: {path}: {fault}")
    digest, released, tail = hashlib.sha256(), False, b""
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
            released = released or _RELEASED in tail + block
            tail = block[-len(_RELEASED) :]
    weights = WeightsFile(content="released" if released else "imagenet", sha256=digest.hexdigest())
    store.link_weights(weights, path)
    return weights


def _fault(path: Path) -> str | None:
    """The fault of a file that holds no weights or is damaged, as far as it shows; else None."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head.startswith((b"PK\x03\x04", b"\x80")):  # a zip, or a pickle in older files
        return "is no file of weights; name one that torch.save wrote"
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
        ) as error:
            return f"is damaged or cut off ({' '.join(str(error).split())[:60]}); fetch it again"
        if broken is not None:
            return f"the checksum of {broken[:60]} does not fit; fetch it again"
    return None
