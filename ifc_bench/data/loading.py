"""Loads clips and targets from a data set in the YouTube-VIS format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ifc_bench.config import Optimisation
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.files import Files, split_digest
from ifc_bench.data.frames import present_frame, read_frame
from ifc_bench.data.transforms import Batch, Sample, augment, collate, resize_frames, resized
from ifc_bench.data.youtube_vis import Annotation, Video
from ifc_bench.errors import UserError
from ifc_bench.masks import decode


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
        self.instances = read_instances(self.files.annotations, unannotated)
        self.videos = self.instances.videos
        self.category_ids = sorted(category.id for category in self.instances.categories)
        self._of_video: dict[int, list[Annotation]] = {video.id: [] for video in self.videos}
        for annotation in self.instances.annotations:
            self._of_video[annotation.video_id].append(annotation)
        self._paths = {video.id: self._frame_paths(video) for video in self.videos}
        self._read = lru_cache(maxsize=cached_frames)(_read_frame) if cached_frames else _read_frame

    def _frame_paths(self, video: Video) -> list[Path]:
        where = f"{self.files.annotations}: video {video.id}"
        return [present_frame(self.files.images, name, where) for name in video.file_names]

    def frames(self, video: Video, indices: list[int], short_side: int | None = None) -> Tensor:
        """Read frames as uint8 RGB [T, 3, H, W], resized to a short edge of `short_side`."""
        paths = self._paths[video.id]
        size = (video.height, video.width)
        frames = torch.stack([self._read(paths[i], size) for i in indices])
        return frames if short_side is None else resize_frames(frames, resized(size, short_side))

    def digest(self, every_byte: bool = True) -> str:
        """Compute the SHA-256 of the annotations and frames of this split, in the file's order.

        `every_byte` hashes the frames' content; without it, only names and sizes (for large data
        sets).
        """
        frames = [
            (name, path)
            for video in self.videos
            for name, path in zip(video.file_names, self._paths[video.id], strict=True)
        ]
        return split_digest(self.files.annotations, frames, every_byte)

    def sample(self, video: Video, indices: list[int]) -> Sample:
        """Read these frames and the instances visible in any of them, without crowds."""
        kept = [
            a
            for a in self._of_video[video.id]
            if not a.iscrowd and any(a.rles[i] is not None for i in indices)
        ]
        masks = torch.zeros(len(kept), len(indices), video.height, video.width, dtype=torch.bool)
        for row, annotation in enumerate(kept):
            for column, index in enumerate(indices):
                rle = annotation.rles[index]
                if rle is not None:
                    masks[row, column] = torch.from_numpy(decode(rle))
        classes = [self.category_ids.index(a.category_id) for a in kept]
        return Sample(self.frames(video, indices), torch.tensor(classes, dtype=torch.int64), masks)


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

    Every epoch visits the videos in a new order. A clip is a key frame and others within
    `sampling_range` of it, in temporal order (paper, Section 4). Process `part` of `parts` gets
    every `parts`-th clip of the batch.
    """
    samples = []
    for position in range(part, schedule.clips, parts):
        number = iteration * schedule.clips + position
        epoch, index = divmod(number, len(data.videos))
        rng = np.random.default_rng([seed, 1, number])
        video = data.videos[_order(seed, epoch, len(data.videos))[index]]
        indices = _sample_frames(video.length, schedule, rng)
        samples.append(augment(data.sample(video, indices), schedule, rng))
    loss = schedule.loss
    return collate(samples, loss.supervision_stride, boxes=loss.matching == "boxes")


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, videos: int) -> list[int]:
    """Return the order in which an epoch visits the videos."""
    order: list[int] = np.random.default_rng([seed, 0, epoch]).permutation(videos).tolist()
    return order


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
