"""Video files and directories of frames as a data set in the YouTube-VIS format. No torch."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ifc_bench.data.files import annotations_at
from ifc_bench.data.frames import FORMATS, opened, upright_size
from ifc_bench.data.mask_images import instance_numbers, instances
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text

_VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".gif")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_QUALITY = 95  # of the JPEG files
_NOTE = "clips.json"  # of what a directory was written
_OBJECT = ("object",)
# A file name, width and height, and what writes the file.
_Frame = tuple[str, tuple[int, int], Callable[[Path], object]]


def is_clip(path: Path) -> bool:
    """Whether `path` is a video file, or a directory of frames without annotations."""
    if path.is_dir():
        return not annotations_at(path).exists() and bool(_images(path))
    return path.suffix.lower() in _VIDEOS


def write_clips(
    sources: Sequence[Path],
    out: Path,
    classes: Sequence[str] = _OBJECT,
    masks: Path | None = None,
    every: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `out/JPEGImages` and `out/instances.json`; returns the number of frames.

    Args:
        sources: video files, or directories of frames in the order of their names.
        out: a directory that does not exist, or is empty. It is written whole or not at all.
        classes: names of the categories, with ids from 1.
        masks: directory with a directory of indexed PNGs for each source, by its name; their
            instances are of the first class.
        every: take every so many frames of a source.
        tell: called with sources done and their total.

    Raises:
        UserError: if a source has no frame, is not readable or has frames of several sizes, two
            have one name, or `out` has files.
    """
    sources = [s.resolve() if s.name in ("", "..") else s for s in sources]  # "." has no name
    _refuse(sources, classes, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        whole = Path(place) / "set"
        videos: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for source in sources:
            tell(len(videos), len(sources))
            folder = whole / "JPEGImages" / source.stem
            frames, (width, height) = _written(source, folder, every)
            videos.append(
                {
                    "id": len(videos) + 1,
                    "width": width,
                    "height": height,
                    "length": len(frames),
                    "file_names": [f"{source.stem}/{frame.name}" for frame in frames],
                }
            )
            if masks is not None:
                named = masks / (source.name if source.is_dir() else source.stem)
                numbers = instance_numbers(frames, named, whole=False)
                annotations += instances(numbers, len(annotations) + 1, len(videos))
        tell(len(sources), len(sources))
        content = {
            "videos": videos,
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
            "annotations": annotations,
        }
        write_text(whole / "instances.json", json.dumps(content))
        write_text(whole / _NOTE, json.dumps(_state(sources, classes)))
        whole.chmod(0o755)
        os.replace(whole, out)
    return sum(video["length"] for video in videos)


def is_written(out: Path, sources: Sequence[Path], classes: Sequence[str]) -> bool:
    """Whether `write_clips` wrote `out` from `sources` as they are now, without masks."""
    note = out / _NOTE
    return note.is_file() and note.read_text() == json.dumps(_state(sources, classes))


def _state(sources: Sequence[Path], classes: Sequence[str]) -> dict[str, Any]:
    """Name, size and time of every file of the sources, and the classes."""
    files = [file for one in sources for file in (_images(one) if one.is_dir() else [one])]
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return {"files": stamps, "classes": list(classes)}


def _refuse(sources: Sequence[Path], classes: Sequence[str], out: Path) -> None:
    """Refuse a used directory, equal classes, and sources that are missing or share a name."""
    if len(set(classes)) < len(classes) or not all(classes):
        raise UserError(f"--classes: {', '.join(classes)}: each class needs a name of its own")
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out}: already exists; choose another directory")
    for source in sources:
        if not source.exists():
            raise UserError(f"{source}: no such video, nor directory of frames")
        if [other.stem for other in sources].count(source.stem) > 1:
            raise UserError(f"{source}: another clip has the name {source.stem}; rename one")


def _written(source: Path, folder: Path, every: int) -> tuple[list[Path], tuple[int, int]]:
    """Write the frames of a clip; returns their files in order, and their width and height."""
    folder.mkdir(parents=True)
    found: list[Path] = []
    size = (0, 0)
    frames = _of_directory(source, every) if source.is_dir() else _of_video(source, every)
    for name, own, write in frames:
        if found and own != size:
            raise UserError(
                f"{source}: frame {name} is {own[1]}x{own[0]}, others are {size[1]}x{size[0]} "
                "(height x width); the frames of a clip have one size"
            )
        size = own
        found.append(folder / name)
        write(found[-1])
    if not found:
        raise UserError(f"{source}: has no frames")
    return found, size


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _of_directory(folder: Path, every: int) -> Iterator[_Frame]:
    """The frames of a directory, whose files are copied."""
    for path in _images(folder)[::every]:
        yield path.name, opened(path, FORMATS, upright_size), partial(shutil.copyfile, path)


def _of_video(path: Path, every: int) -> Iterator[_Frame]:
    """The frames of a video file, turned as its display matrix says, for JPEG files."""
    try:
        import av
    except ImportError:
        raise UserError(
            f"{path}: reading a video file needs PyAV: pip install av, or name a directory of its "
            "frames"
        ) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path}: has no video stream")
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    image = frame.to_image()
                    if turn := getattr(frame, "rotation", 0):
                        image = image.rotate(turn, expand=True)
                    yield f"{number:05d}.jpg", image.size, partial(image.save, quality=_QUALITY)
    except (av.error.FFmpegError, OSError) as error:
        said = error.strerror or type(error).__name__
        raise UserError(f"{path}: not a readable video ({said.lower()})") from None
