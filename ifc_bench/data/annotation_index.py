"""An index of a checked annotation file: opened at once, and shared by all processes.

A public file takes up to half a minute to read and check, and is gigabytes as objects. The index
holds the places of the entries in the file, so that each is decoded when a clip is drawn. File and
index are mapped into memory: all loader processes and ranks of a machine share one copy.
"""

from __future__ import annotations

import mmap
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.coco import Instance, as_annotation
from ifc_bench.data.json_files import collector_paused
from ifc_bench.data.sound_files import UnsoundError, open_sound
from ifc_bench.data.youtube_vis import Annotation, Category, Video, VideoInstances
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes

T = TypeVar("T")
_VERSION = 1


class Index(msgspec.Struct):
    """The contents of an index; arrays are bytes, in the byte order of the machine.

    Attributes:
        size: bytes of the annotation file.
        still: whether it is in COCO's format.
        categories: in the order of the file.
        frames: the number of frames of all videos, or of images.
        videos: one msgpack object for each video, one after the other.
        video_ends: int64 [V], where they end.
        sizes: int32 [V, 2], height and width of each video.
        begins, ends: int64 [A], the places of the annotations in the file.
        rows: int32 [A], the video of each annotation.
        order: int32 [A], annotations sorted by video, otherwise in the order of the file.
    """

    version: int
    size: int
    still: bool
    categories: list[tuple[int, str]]
    frames: int
    videos: memoryview
    video_ends: memoryview
    sizes: memoryview
    begins: memoryview
    ends: memoryview
    rows: memoryview
    order: memoryview

    @property
    def count(self) -> int:
        """The number of videos, or of images."""
        return self.video_ends.nbytes // np.dtype(np.int64).itemsize


class IndexedInstances(VideoInstances):
    """A checked annotation file, of which videos and annotations are decoded one by one.

    Raises:
        UserError: if `annotations` is not the file that was indexed.
    """

    def __init__(self, annotations: Path, index: Path) -> None:
        self._file = _IndexedFile(annotations, index)
        categories = [Category(id=number, name=name) for number, name in self._file.categories]
        super().__init__(_Videos(self._file), categories, _Annotations(self._file))

    @property
    def sizes(self) -> NDArray[np.int32]:
        return self._file.sizes

    def of_video(self, row: int) -> list[Annotation]:
        return [self.annotations[at] for at in self._file.of_video(row)]


class _IndexedFile:
    """An annotation file and its index, both mapped; other processes map them for themselves."""

    def __init__(self, annotations: Path, index: Path) -> None:
        self._paths = annotations, index
        found, self._content = read_index(index), _mapped(annotations)
        self._stamp = _stamp(annotations)
        if found is None or len(self._content) != found.size:
            raise self.changed()
        self.still, self.categories, self._videos = found.still, found.categories, found.videos
        self.video_ends, self._begins, self._ends = (
            np.frombuffer(array, np.int64) for array in (found.video_ends, found.begins, found.ends)
        )
        self._rows, self._order = (
            np.frombuffer(array, np.int32) for array in (found.rows, found.order)
        )
        self.sizes = np.frombuffer(found.sizes, np.int32).reshape(-1, 2)
        self._first = np.searchsorted(self._rows[self._order], np.arange(len(self.video_ends) + 1))

    def __reduce__(self) -> tuple[type[_IndexedFile], tuple[Path, Path]]:
        return _IndexedFile, self._paths

    @property
    def annotations(self) -> int:
        """The number of annotations."""
        return len(self._begins)

    def of_video(self, row: int) -> list[int]:
        """The numbers of the annotations of a video."""
        some: list[int] = self._order[self._first[row] : self._first[row + 1]].tolist()
        return some

    def video(self, row: int) -> Video:
        begin = self.video_ends[row - 1] if row else 0
        packed = self._videos[begin : self.video_ends[row]]
        return Video.model_construct(**msgspec.msgpack.decode(packed))

    def annotation(self, at: int) -> Annotation:
        if _stamp(self._paths[0]) != self._stamp:  # reading what was cut off would end the process
            raise self.changed()
        text = self._content[self._begins[at] : self._ends[at]]
        try:
            if not self.still:
                return msgspec.json.decode(text, type=Annotation)
            height, width = self.sizes[self._rows[at]].tolist()
            return as_annotation(msgspec.json.decode(text, type=Instance), (height, width))
        except msgspec.DecodeError:
            raise self.changed() from None

    def changed(self) -> UserError:
        """The error of an annotation file that is another one now."""
        return UserError(
            f"{self._paths[0]}: changed since it was checked; give the command with --data again"
        )


class _Entries(Sequence[T]):
    """Entries that are decoded when asked for; a pass over all of them keeps them."""

    def __init__(self, file: _IndexedFile) -> None:
        self.file = file
        self._all: list[T] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"file": self.file, "_all": None}

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._decoded(at % len(self)) if self._all is None else self._all[at]

    def __iter__(self) -> Iterator[T]:
        if self._all is None:
            with collector_paused():
                self._all = [self._decoded(at) for at in range(len(self))]
        return iter(self._all)

    @abstractmethod
    def _decoded(self, at: int) -> T: ...


class _Videos(_Entries[Video]):
    def __len__(self) -> int:
        return len(self.file.video_ends)

    def _decoded(self, at: int) -> Video:
        return self.file.video(at)


class _Annotations(_Entries[Annotation]):
    def __len__(self) -> int:
        return self.file.annotations

    def _decoded(self, at: int) -> Annotation:
        return self.file.annotation(at)


def write_index(annotations: Path, index: Path) -> Index | None:
    """Check an annotation file and write its index; None where it has a fault, or is unusual.

    Raises:
        OSError: if the index cannot be written.
    """
    try:
        with collector_paused():
            found = open_sound(annotations)
            rows = {video.id: row for row, video in enumerate(found.videos)}
            of = [rows[a.video_id] for chunk in found.chunks() for a in chunk]
    except UnsoundError:
        return None
    packed = [msgspec.msgpack.encode(v.model_dump(exclude_none=True)) for v in found.videos]
    begins, ends = found.places()
    sizes = [(video.height, video.width) for video in found.videos]
    written = Index(
        version=_VERSION,
        size=annotations.stat().st_size,
        still=found.still,
        categories=[(category.id, category.name) for category in found.categories],
        frames=sum(video.length for video in found.videos),
        videos=memoryview(b"".join(packed)),
        video_ends=np.cumsum([len(text) for text in packed], dtype=np.int64).data,
        sizes=np.array(sizes, np.int32).data,
        begins=begins.data,
        ends=ends.data,
        rows=np.array(of, np.int32).data,
        order=np.argsort(of, kind="stable").astype(np.int32).data,
    )
    write_bytes(index, msgspec.msgpack.encode(written))
    return written


def read_index(index: Path) -> Index | None:
    """Open an index; None where there is none, or it is damaged or of another version."""
    try:
        found = msgspec.msgpack.decode(_mapped(index), type=Index)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    return found if found.version == _VERSION else None


def _stamp(path: Path) -> tuple[int, int, int]:
    """File, size and time, which change with the content."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0, 0
    return state.st_ino, state.st_size, state.st_mtime_ns


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
