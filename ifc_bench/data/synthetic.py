"""The embedded benchmark: a seeded generator of small videos in the YouTube-VIS format.

With the same versions of numpy and Pillow, the same seed gives the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from ifc_bench.config import SyntheticData
from ifc_bench.data.files import split_digest
from ifc_bench.data.scenes import CLASSES, Scene, render
from ifc_bench.data.situations import parameters, situation_of
from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.file_io import write_bytes, write_text

_Progress = Callable[[int, int], None] | None  # videos done, total
_SPLITS = ("train", "valid")
DIGEST = "digest.txt"


def synthesize(config: SyntheticData, folder: Path, progress: _Progress = None) -> None:
    """Generate both splits under `folder`, unless it exists; written atomically.

    `folder` gets `train/` and `valid/`, each with `instances.json` and `JPEGImages/`, and their
    hashes in `digest.txt`, because the ids of work contain only the parameters. Safe to call
    from several processes. `progress` is called with videos done and their total.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file. No
            partial data set stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{folder}.lock")
    lock.touch()  # without permission, FileLock would retry forever or give no reason
    with FileLock(lock):
        if not folder.exists():
            _write_whole(config, folder, progress)
        lock.unlink(missing_ok=True)  # a waiting process then finds the directory


def _write_whole(config: SyntheticData, folder: Path, progress: _Progress) -> None:
    """Write both splits and their digest to a temporary directory, then rename it."""
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.", suffix=".partial"))
    counts = (config.train_videos, config.validation_videos)
    try:
        for split, count in enumerate(counts):
            for_split = _of_total(progress, sum(counts[:split]), sum(counts))
            _write_split(config, split, count, aside / _SPLITS[split], for_split)
        digest = "+".join(_digest(aside / name) for name in _SPLITS)
        write_text(aside / DIGEST, digest)
        with suppress(FileExistsError):  # where locks do not hold, another may have been faster
            _moved(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _moved(aside: Path, folder: Path) -> None:
    """Rename a directory; raises FileExistsError if there is one of that name."""
    aside.chmod(0o755)
    try:
        os.replace(aside, folder)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError from None
        raise


def _digest(split: Path) -> str:
    """Compute the hash of a written split, frames in the order of the annotations."""
    annotations = split / "instances.json"
    videos = json.loads(annotations.read_text())["videos"]
    names = [name for video in videos for name in video["file_names"]]
    return split_digest(annotations, [(n, split / "JPEGImages" / n) for n in names])


def _of_total(progress: _Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total) if progress else None


def _write_split(
    config: SyntheticData, split: int, count: int, folder: Path, tell: Callable[[int], None]
) -> None:
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        rng = np.random.default_rng([config.seed, split, index])
        situation = situation_of(config.generator, index)
        scene = render(config, parameters(situation), rng)
        name = f"{index:05d}"
        images = folder / "JPEGImages" / name
        images.mkdir(parents=True)
        for number, frame in enumerate(scene.frames):
            write_bytes(images / f"{number:05d}.jpg", _jpeg(frame))
        videos.append(
            {
                "id": index + 1,
                "width": config.width,
                "height": config.height,
                "length": config.frames,
                "file_names": [f"{name}/{number:05d}.jpg" for number in range(config.frames)],
                "situation": situation,
                **_marks(config, scene),
            }
        )
        for category, tube in zip(scene.categories, scene.masks, strict=True):
            annotations.append(
                written_annotation(len(annotations) + 1, index + 1, category + 1, tube)
            )
        tell(index + 1)
    content = {
        "info": {"description": "ifc-bench embedded benchmark (synthetic)"},
        "videos": videos,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": annotations,
    }
    write_text(folder / "instances.json", json.dumps(content))


def _marks(config: SyntheticData, scene: Scene) -> dict[str, list[int]]:
    """The frames in which the scene is hidden; videos of version 2 do not say them."""
    return {"marked": scene.marked} if config.generator > 2 and scene.marked else {}


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()  # Pillow's own errors name neither file nor cause
    Image.fromarray(frame).save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()
