"""Paths of one split: its annotations, and the directory of its frames. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.data.layouts import annotation_files, image_directories
from ifc_bench.errors import UserError, refuse_irregular


@dataclass(frozen=True)
class Files:
    """One split: its annotations, and the directory that its file names are relative to."""

    annotations: Path
    images: Path

    @property
    def index(self) -> Path | None:
        """The index of the annotations, which a registered data set has beside them."""
        path = self.annotations.with_name("instances.index")
        return path if path.is_symlink() and self.annotations.is_symlink() else None

    @property
    def present(self) -> bool:
        return self.annotations.is_file() and self.images.is_dir()

    @classmethod
    def at(cls, path: Path, images: Path | None = None) -> Files:
        """Find the split at `path`: an annotation file, or a directory that has one.

        A directory has `instances.json` and `JPEGImages`, or is of a layout in `layouts`. The
        frames of a file `valid.json` are searched in `JPEGImages`, `valid/JPEGImages` and `valid`
        beside it, and by the layouts, unless `images` is given.

        Raises:
            UserError: if there is no such file, or more than one, or the frames are in none of
                these directories.
        """
        annotations = annotations_at(path)
        if not annotations.is_file():
            refuse_irregular(annotations)
            raise UserError(f"{annotations}: no such file")
        _refuse_other_content(annotations)
        beside, stem = annotations.parent, annotations.stem
        usual = [beside / "JPEGImages", beside / stem / "JPEGImages", beside / stem]
        known = [*usual, *image_directories(annotations)]
        found = next((folder for folder in known if folder.is_dir()), usual[0])
        files = cls(annotations, images or found)
        if not files.images.is_dir():
            raise UserError(
                f"--images: {files.images}: no such directory, for the frames of {annotations}; "
                "name the directory of the frames"
            )
        return files


def annotations_at(path: Path) -> Path:
    """The annotation file at `path`, which may be a directory of any layout.

    Raises:
        UserError: if a directory has several.
    """
    if not path.is_dir():
        return path
    plain = path / "instances.json"
    found = [plain] if plain.is_file() else annotation_files(path)
    if len(found) > 1:
        names = ", ".join(str(one.relative_to(path)) for one in found)
        raise UserError(f"{path}: has several annotation files ({names}); name one of them")
    return found[0] if found else plain


def _refuse_other_content(annotations: Path) -> None:
    """Refuse a file that is not JSON, before its frames are searched."""
    with annotations.open("rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith((b"{", b"[")):
        begins = f"begins with {head[:12].decode('latin-1')!r}" if head else "is empty"
        raise UserError(
            f"{annotations}: {begins}, so it is not a JSON file of annotations; name a directory "
            "with instances.json, or the annotation file itself"
        )


def split_digest(
    annotations: Path, frames: Iterable[tuple[str, Path]], every_byte: bool = True
) -> str:
    """Compute the SHA-256 of an annotation file and its frames, (name, file) pairs in order.

    `every_byte` hashes the frames' content; without it, only names and sizes (for large data sets).
    """
    with annotations.open("rb") as file:  # of any size
        digest = hashlib.file_digest(file, "sha256")
    for name, path in frames:
        known = f"{name} {path.stat().st_size}".encode()
        digest.update(path.read_bytes() if every_byte else known)
    return digest.hexdigest()
