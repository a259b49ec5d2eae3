"""Loads clips and targets from a data set in the YouTube-VIS format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ifc_bench.config import Optimisation
from ifc_bench.data.annotation_index import IndexedInstances
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.batch_order import BatchOrder
from ifc_bench.data.coco import drawn
from ifc_bench.data.files import Files, split_digest
from ifc_bench.data.frames import FrameFolder, read_frame
from ifc_bench.data.outlines import Outlines
from ifc_bench.data.transforms import Batch, Sample, augment, collate, resize_frames, resized
from ifc_bench.data.youtube_vis import Polygons, Video
from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, decode

Shape = Rle | Polygons | None


class VideoDataset:
    """One split; `where` names its files, or the directory with them.

    Classes are contiguous from 0 in the order of category ids; crowds are not training targets.
    `cached_frames` is the number of decoded frames kept in memory, in each process. `unannotated`
    allows files whose annotations are not public.

    Raises:
        UserError: if the annotations are invalid or a frame is missing.
    """

    def __init__(
        self, where: Path | Files, cached_frames: int = 0, unannotated: bool = False
    ) -> None:
        self.files = where if isinstance(where, Files) else Files.at(where)
        index = self.files.index
        self.instances = (
            read_instances(self.files.annotations, unannotated)
            if index is None
            else IndexedInstances(self.files.annotations, index)
        )
        self.videos = self.instances.videos
        self.category_ids = sorted(category.id for category in self.instances.categories)
        self._folder = FrameFolder(self.files.images)
        self._read = lru_cache(maxsize=cached_frames)(_read_frame) if cached_frames else _read_frame
        self._orders: dict[tuple[int, int], BatchOrder] = {}
        for _ in self._named_frames():
            pass

    def order(self, clips: int, seed: int) -> BatchOrder:
        """The order of the videos in batches of so many clips."""
        if (clips, seed) not in self._orders:
            height, width = self.instances.sizes.T
            self._orders[clips, seed] = BatchOrder(width > height, clips, seed)
        return self._orders[clips, seed]

    def _path(self, video: Video, name: str) -> Path:
        return self._folder.present(name, f"{self.files.annotations}: video {video.id}")

    def _named_frames(self) -> Iterator[tuple[str, Path]]:
        """Every frame by name; an index decodes one video at a time, and keeps none."""
        for row in range(len(self.videos)):
            video = self.videos[row]
            for name in video.file_names:
                yield name, self._path(video, name)

    def frames(self, video: Video, indices: list[int], short_side: int | None = None) -> Tensor:
        """Read frames as uint8 RGB [T, 3, H, W], resized to a short edge of `short_side`."""
        size = (video.height, video.width)
        paths = [self._path(video, video.file_names[index]) for index in indices]
        frames = torch.stack([self._read(path, size) for path in paths])
        return frames if short_side is None else resize_frames(frames, resized(size, short_side))

    def digest(self, every_byte: bool = True) -> str:
        """Compute the SHA-256 of the annotations and frames of this split, in the file's order.

        `every_byte` hashes the frames' content; without it, only names and sizes (for large data
        sets).
        """
        return split_digest(self.files.annotations, self._named_frames(), every_byte)

    def sample(self, row: int, indices: list[int]) -> Sample:
        """Read these frames of `videos[row]` and the instances visible in any, without crowds."""
        video = self.videos[row]
        shapes, classes = [], []
        for annotation in self.instances.of_video(row):
            if annotation.iscrowd:
                continue
            found = [annotation.shape(index) for index in indices]
            if any(shape is not None for shape in found):
                shapes.append(found)
                classes.append(self.category_ids.index(annotation.category_id))
        size = (video.height, video.width)
        polygons = [found[0] for found in shapes if isinstance(found[0], list)]
        return Sample(
            self.frames(video, indices),
            torch.tensor(classes, dtype=torch.int64),
            Outlines(polygons, size)
            if polygons and len(polygons) == len(shapes) and len(indices) == 1
            else _pixels(shapes, len(indices), size),
        )


def _pixels(shapes: list[list[Shape]], frames: int, size: tuple[int, int]) -> Tensor:
    """The masks of instances, bool [I, T, H, W]."""
    masks = torch.zeros(len(shapes), frames, *size, dtype=torch.bool)
    for row, found in enumerate(shapes):
        for column, shape in enumerate(found):
            if shape is not None:
                rle = drawn(shape, size) if isinstance(shape, list) else shape
                masks[row, column] = torch.from_numpy(decode(rle))
    return masks


def _read_frame(path: Path, size: tuple[int, int]) -> Tensor:
    """Read one frame as uint8 RGB [3, H, W]."""
    return torch.from_numpy(read_frame(path, size)).permute(2, 0, 1).contiguous()


def draw_batch(
    data: VideoDataset,
    schedule: Optimisation,
    seed: int,
    iteration: int,
    part: int = 0,
    parts: int = 1,
) -> Batch:
    """Draw the batch of one iteration, which depends only on the arguments, so training can resume.

    A clip is a key frame and others within `sampling_range` of it, in temporal order (paper,
    Section 4); which videos, `batch_order` decides. Process `part` of `parts` gets every
    `parts`-th clip of the batch.
    """
    order = data.order(schedule.clips, seed)
    samples = []
    for number in order.batch(iteration)[part::parts]:
        rng = np.random.default_rng([seed, 1, number])
        row = order.video(number)
        indices = _sample_frames(data.videos[row].length, schedule, rng)
        samples.append(augment(data.sample(row, indices), schedule, rng))
    loss = schedule.loss
    return collate(samples, loss.supervision_stride, boxes=loss.matching == "boxes")


@dataclass(frozen=True)
class TrainingBatches(torch.utils.data.Dataset[Batch | UserError]):
    """Batches of a training run by iteration, for torch's loader processes.

    Bad data is returned as an error: torch would raise it with the traceback of its process.
    """

    data: VideoDataset
    schedule: Optimisation
    seed: int
    part: int = 0
    parts: int = 1

    def __getitem__(self, iteration: int) -> Batch | UserError:
        try:
            return draw_batch(self.data, self.schedule, self.seed, iteration, self.part, self.parts)
        except UserError as error:
            return error


def _sample_frames(length: int, schedule: Optimisation, rng: np.random.Generator) -> list[int]:
    key = int(rng.integers(length))
    low, high = (
        max(0, key - schedule.sampling_range),
        min(length, key + schedule.sampling_range + 1),
    )
    others = [i for i in range(low, high) if i != key] or [key]
    wanted = schedule.clip_frames - 1
    picked = rng.choice(others, wanted, replace=schedule.repeat_frames or wanted > len(others))
    return sorted([key, *picked.tolist()])
