"""From a folder in the YouTube-VIS format to clips and targets."""

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
from ifc_bench.masks import decode


class VideoDataset:
    """One split, `where` its files or the folder that holds them lie.

    Classes are contiguous from 0 in the order of category ids; crowds are no training targets.
    `cached_frames` decoded frames are kept in memory (of one process). `unannotated` admits files
    whose annotations are not public.

    Raises:
        UserError: if the annotations are broken or a frame is missing.
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
        """Frames as uint8 RGB [T, 3, H, W], resized to a shorter side of `short_side` if given."""
        paths = self._paths[video.id]
        size = (video.height, video.width)
        frames = torch.stack([self._read(paths[i], size) for i in indices])
        return frames if short_side is None else resize_frames(frames, resized(size, short_side))

    def digest(self, every_byte: bool = True) -> str:
        """SHA-256 over the annotations and frames of this split, in the order of the file.

        `every_byte` reads all frames; without it, their names and sizes must do (large sets).
        """
        frames = [
            (name, path)
            for video in self.videos
            for name, path in zip(video.file_names, self._paths[video.id], strict=True)
        ]
        return split_digest(self.files.annotations, frames, every_byte)

    def sample(self, video: Video, indices: list[int]) -> Sample:
        """These frames, and the instances visible in any of them; no crowds."""
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
    """One frame as uint8 RGB [3, H, W]."""
    return torch.from_numpy(read_frame(path, size)).permute(2, 0, 1).contiguous()


def draw_batch(
    data: VideoDataset,
    schedule: Optimisation,
    seed: int,
    iteration: int,
    part: int = 0,
    parts: int = 1,
) -> Batch:
    """The batch of one iteration: a function of its arguments alone, so that training can resume.

    Every epoch visits the videos in a new order. A clip is a key frame and others from within
    `sampling_range`, in order of time (paper, Section 4). Process `part` of `parts` gets every
    `parts`-th clip; together they hold the batch of one process.
    """
    samples = []
    for position in range(part, schedule.clips, parts):
        number = iteration * schedule.clips + position
        epoch, place = divmod(number, len(data.videos))
        rng = np.random.default_rng([seed, 1, number])
        video = data.videos[_order(seed, epoch, len(data.videos))[place]]
        indices = _sample_frames(video.length, schedule, rng)
        samples.append(augment(data.sample(video, indices), schedule, rng))
    loss = schedule.loss
    return collate(samples, loss.supervision_stride, boxes=loss.matching == "boxes")


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, videos: int) -> list[int]:
    """The order in which an epoch visits the videos."""
    order: list[int] = np.random.default_rng([seed, 0, epoch]).permutation(videos).tolist()
    return order


@dataclass(frozen=True)
class TrainingBatches(torch.utils.data.Dataset[Batch]):
    """The batches of a training by iteration, for torch's loader processes."""

    data: VideoDataset
    schedule: Optimisation
    seed: int
    part: int = 0
    parts: int = 1

    def __getitem__(self, iteration: int) -> Batch:
        return draw_batch(self.data, self.schedule, self.seed, iteration, self.part, self.parts)


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
