"""Registration of a user's copy of a data set. Imports no torch.

A copy is registered as a directory of links, `train/` and `valid/`, each with `instances.json` and
`JPEGImages`, so that all other code reads one layout.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.config import FolderData
from ifc_bench.data.annotation_index import read_index, write_index
from ifc_bench.data.annotations import (
    Outline,
    is_unannotated,
    outline,
    refuse_unlike_categories,
    refused_unannotated,
)
from ifc_bench.data.files import Files
from ifc_bench.data.hold_out import split_videos
from ifc_bench.data.json_files import read_json
from ifc_bench.data.layouts import DIRECTORIES, HELD_OUT, LAYOUTS, WORDS, held_out_locally
from ifc_bench.data.youtube_vis import Category
from ifc_bench.errors import UserError
from ifc_bench.file_io import file_hash, write_text
from ifc_bench.store import Store

_SHARE = 0.1


def find(root: Path, name: str) -> dict[str, Files]:
    """Find the splits "train" and "valid" of data set `name` under `root`; valid may be missing.

    `root` is the data set's directory, or its parent if the directory has one of the usual names.
    For layout "folder", a directory with `instances.json` and `JPEGImages` is used as both splits.

    Raises:
        UserError: if no layout matches; it names the files that are expected.
    """
    roots = [root, *(root / folder for folder in DIRECTORIES.get(name, ()))]
    for base in roots:
        for listing, images in LAYOUTS[name]:
            found: dict[str, Files] = {}
            for split, words in WORDS.items():
                for word in words:
                    files = Files(base / listing.format(word), base / images.format(word))
                    if files.present:
                        found.setdefault(split, files)
            if "train" in found:
                return found
    alone = Files(root / "instances.json", root / "JPEGImages")
    if name == "folder" and alone.present:
        return {"train": alone, "valid": alone}
    looked = ", ".join(dict.fromkeys(a.format("train") for a, _ in LAYOUTS[name]))
    raise UserError(
        f"--data: {root} has no {name}: expected one of {looked} with its images, here or under "
        f"{' or '.join(DIRECTORIES.get(name, ('instances.json',)))}"
    )


@dataclass(frozen=True)
class Adopted:
    """A registered copy of a data set, with the facts that a recipe needs.

    Attributes:
        data: the configuration that identifies it in work.
        train, valid: the outlines of its splits.
    """

    data: FolderData
    train: Outline
    valid: Outline

    @property
    def classes(self) -> int:
        """The number of categories."""
        return len(self.train.categories)


def adopt(root: Path, name: str, store: Store) -> Adopted:
    """Register a user's copy of a data set in `store`.

    If the validation annotations are missing or not public, as in YouTube-VIS and OVIS, a tenth of
    the training videos is held out, with seed 0. "-held-out" is then added to the name, as for the
    files of `data split`.

    Raises:
        UserError: if the files are missing, not readable or empty, or the categories of the two
            splits differ.
    """
    found = find(root, name)
    train, valid = found["train"], found.get("valid")
    public = None if valid is None else _listed(valid.annotations, store)
    if valid is None or public is None:
        name += HELD_OUT
        held = _held_out(train, store)
        parts = {part: Files(path, train.images) for part, path in held.items()}
        listed = {part: _public(path, store) for part, path in held.items()}
    else:
        if held_out_locally(train.annotations):
            name += HELD_OUT
        parts = found
        listed = {"train": _public(train.annotations, store), "valid": public}
        refuse_unlike_categories(
            listed["train"].outline.categories,
            public.outline.categories,
            train.annotations,
            valid.annotations,
        )
    data = FolderData(name=name, train=listed["train"].digest, valid=listed["valid"].digest)
    for split, files in parts.items():
        folder = store.data_path(data) / split
        link_split(folder, files.annotations, files.images)
        index = store.index_path(listed[split].digest)
        if index.exists():
            _link(folder / "instances.index", index)
    return Adopted(data, listed["train"].outline, listed["valid"].outline)


@dataclass(frozen=True)
class _Listed:
    """An annotation file that is registered: its SHA-256, and its outline."""

    digest: str
    outline: Outline


def _listed(annotations: Path, store: Store) -> _Listed | None:
    """Check and index an annotation file, once; None where its annotations are not public.

    A file that may have a fault has no index: its outline is read every time, and the work that
    needs it names the fault.
    """
    digest = file_hash(annotations)
    path = store.index_path(digest)
    index = read_index(path) or write_index(annotations, path)
    if index is not None:
        categories = [Category(id=number, name=name) for number, name in index.categories]
        return _Listed(digest, Outline(categories, index.count, index.frames))
    content = read_json(annotations)
    return None if is_unannotated(content) else _Listed(digest, outline(content, annotations))


def _public(annotations: Path, store: Store) -> _Listed:
    """`_listed`, of a file for training.

    Raises:
        UserError: if its annotations are null.
    """
    found = _listed(annotations, store)
    if found is None:
        raise refused_unannotated(annotations)
    return found


def adopt_clips(folder: Path, store: Store) -> FolderData:
    """Register one directory of clips, annotated or not, as both splits of a data set.

    For work that needs no annotations, such as a profile.

    Raises:
        UserError: if there are no clips.
    """
    files = Files.at(folder)
    digest = file_hash(files.annotations)
    data = FolderData(name="clips", train=digest, valid=digest)
    for split in ("train", "valid"):
        link_split(store.data_path(data) / split, files.annotations, files.images)
    return data


def _held_out(train: Files, store: Store) -> dict[str, Path]:
    """The annotation files of both parts of `train`, which are written once."""
    digest = file_hash(train.annotations)
    paths = {part: store.held_out_path(digest, part) for part in ("train", "valid")}
    if not all(path.exists() for path in paths.values()):
        for part, text in split_videos(train.annotations, _SHARE, seed=0).items():
            write_text(paths[part], text)
    return paths


def link_split(folder: Path, annotations: Path, images: Path | None) -> None:
    """Link the annotations and frames of a split in `folder`, under the names that are read."""
    folder.mkdir(parents=True, exist_ok=True)
    _link(folder / "instances.json", annotations)
    if images is not None:
        _link(folder / "JPEGImages", images)


def _link(link: Path, target: Path) -> None:
    """Create a symbolic link, and replace an older one atomically."""
    aside = link.with_name(f".{link.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target.resolve())
    os.replace(aside, link)
