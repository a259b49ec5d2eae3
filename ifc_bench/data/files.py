"""Where one split lies: its annotations, and the folder of its frames. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.errors import UserError, refuse_irregular


@dataclass(frozen=True)
class Files:
    """One split: its annotations and the folder that its file names are relative to."""

    annotations: Path
    images: Path

    @property
    def present(self) -> bool:
        return self.annotations.is_file() and self.images.is_dir()

    @classmethod
    def at(cls, path: Path, images: Path | None = None) -> Files:
        """The split at `path`: a folder with `instances.json` and `JPEGImages`, or a file.

        The frames of `valid.json` are looked for in `JPEGImages`, `valid/JPEGImages` and `valid`
        beside it, unless `images` says where they are.

        Raises:
            UserError: if there is no such file, or the frames are in none of these.
        """
        annotations = path / "instances.json" if path.is_dir() else path
        if not annotations.is_file():
            refuse_irregular(annotations)
            raise UserError(f"{annotations}: no such file")
        _refuse_other_content(annotations)
        beside, stem = annotations.parent, annotations.stem
        usual = [beside / "JPEGImages", beside / stem / "JPEGImages", beside / stem]
        found = next((folder for folder in usual if folder.is_dir()), usual[0])
        files = cls(annotations, images or found)
        if not files.images.is_dir():
            raise UserError(
                f"--images: {files.images}: no such folder, for the frames of {annotations}; name "
                "the frames' folder"
            )
        return files


def _refuse_other_content(annotations: Path) -> None:
    """Say of a file that is no JSON that it is none, before frames are looked for beside it."""
    with annotations.open("rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith((b"{", b"[")):
        begins = f"begins with {head[:12].decode('latin-1')!r}" if head else "is empty"
        raise UserError(
            f"{annotations}: {begins}, so it holds no annotations in JSON; name a folder with "
            "instances.json, or the annotation file itself"
        )


def split_digest(
    annotations: Path, frames: Iterable[tuple[str, Path]], every_byte: bool = True
) -> str:
    """SHA-256 over an annotation file and its frames, (name, file) pairs, in their order.

    `every_byte` reads all frames; without it, their names and sizes must do (large sets).
    """
    digest = hashlib.sha256(annotations.read_bytes())
    for name, path in frames:
        known = f"{name} {path.stat().st_size}".encode()
        digest.update(path.read_bytes() if every_byte else known)
    return digest.hexdigest()
