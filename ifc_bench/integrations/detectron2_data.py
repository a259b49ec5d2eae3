"""Registers our data sets in detectron2's catalogue, and maps a video to a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog, detection_utils
from detectron2.data import transforms as T
from detectron2.structures import BitMasks, Instances

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.catalogue import find
from ifc_bench.data.frames import FrameFolder
from ifc_bench.data.layouts import LAYOUTS
from ifc_bench.errors import UserError
from ifc_bench.masks import decode

_SHORT = {
    "youtube-vis-2019": "ytvis_2019",
    "youtube-vis-2021": "ytvis_2021",
    "youtube-vis-2022": "ytvis_2022",
    "ovis": "ovis",
}


def register_videos(name: str, annotations: Path, images: Path) -> None:
    """Register a data set in the YouTube-VIS or COCO format in detectron2 as `name`.

    Its dicts are videos in the released code's format: `file_names`, and `annotations` with one
    list for each frame. Classes are contiguous from 0 in the order of category ids.
    """
    DatasetCatalog.register(name, lambda: video_dicts(annotations, images))
    MetadataCatalog.get(name).set(
        json_file=str(annotations), image_root=str(images), evaluator_type="ytvis"
    )


def register_all(root: Path) -> list[str]:
    """Register every public data set under `root` as `ytvis_2019_train`, `ovis_val` and so on."""
    names = []
    for name in LAYOUTS.keys() & _SHORT.keys():
        try:
            found = find(root, name)
        except UserError:
            continue
        for split, files in found.items():
            names.append(f"{_SHORT[name]}_{'val' if split == 'valid' else split}")
            if names[-1] not in DatasetCatalog.list():
                register_videos(names[-1], files.annotations, files.images)
    return sorted(names)


def video_dicts(annotations: Path, images: Path) -> list[dict[str, Any]]:
    """Read the videos of an annotation file as detectron2 dicts."""
    instances = read_instances(annotations, unannotated=True)
    contiguous = {c: i for i, c in enumerate(sorted(c.id for c in instances.categories))}
    folder = FrameFolder(images)
    videos = {
        video.id: {
            "video_id": video.id,
            "height": video.height,
            "width": video.width,
            "length": video.length,
            "file_names": [
                str(folder.path(name, f"{annotations}: video {video.id}"))
                for name in video.file_names
            ],
            "annotations": [[] for _ in range(video.length)],
        }
        for video in instances.videos
    }
    for annotation in instances.annotations:
        frames: Any = videos[annotation.video_id]["annotations"]
        for frame, rle in enumerate(annotation.rles):
            if rle is not None:
                frames[frame].append(
                    {
                        "id": annotation.id,
                        "category_id": contiguous[annotation.category_id],
                        "iscrowd": annotation.iscrowd,
                        "segmentation": rle,
                    }
                )
    return list(videos.values())


class ClipMapper:
    """Maps a video's dict to an input of the model.

    In training, T frames around a key frame, all augmented alike; in testing, every frame.
    """

    def __init__(self, cfg: Any, is_train: bool) -> None:
        self.is_train = is_train
        self.format = cfg.INPUT.FORMAT
        self.frames, self.range = cfg.INPUT.SAMPLING_FRAME_NUM, cfg.INPUT.SAMPLING_FRAME_RANGE
        self.augmentations = T.AugmentationList(_augmentations(cfg, is_train))

    def __call__(self, video: dict[str, Any]) -> dict[str, Any]:
        indices = self._draw(video["length"]) if self.is_train else range(video["length"])
        first = detection_utils.read_image(video["file_names"][indices[0]], self.format)
        change = self.augmentations(T.AugInput(first))
        images, instances = [], []
        ids = {a["id"]: a["category_id"] for i in indices for a in _things(video, i)}
        for index in indices:
            image = detection_utils.read_image(video["file_names"][index], self.format)
            changed = change.apply_image(image)
            images.append(torch.from_numpy(np.ascontiguousarray(changed.transpose(2, 0, 1))))
            if self.is_train:
                instances.append(_instances(_things(video, index), ids, change, changed.shape[:2]))
        kept = {key: video[key] for key in ("video_id", "height", "width", "length")}
        return {**kept, "image": images, **({"instances": instances} if self.is_train else {})}

    def _draw(self, length: int) -> list[int]:
        """Draw a key frame and T - 1 others around it, in temporal order."""
        key = int(np.random.randint(length))
        near = range(max(0, key - self.range), min(length, key + self.range + 1))
        others = [i for i in near if i != key] or [key]
        return sorted([key, *np.random.choice(others, self.frames - 1).tolist()])


def _things(video: dict[str, Any], frame: int) -> list[dict[str, Any]]:
    return [a for a in video["annotations"][frame] if not a["iscrowd"]]


def _instances(
    annotations: list[dict[str, Any]],
    ids: dict[int, int],
    change: Any,
    size: tuple[int, int],
) -> Instances:
    """Build Instances with one row for each instance, in the same order for all frames."""
    masks = torch.zeros(len(ids), *size, dtype=torch.bool)
    rows = {number: row for row, number in enumerate(ids)}
    for annotation in annotations:
        mask = change.apply_segmentation(decode(annotation["segmentation"]).astype(np.uint8))
        masks[rows[annotation["id"]]] = torch.from_numpy(mask.copy()).bool()
    found = Instances(size)
    found.gt_masks = BitMasks(masks)
    found.gt_classes = torch.tensor(list(ids.values()), dtype=torch.int64)
    visible = masks.flatten(1).any(1) if len(ids) else torch.zeros(0, dtype=torch.bool)
    found.gt_ids = torch.where(visible, torch.arange(len(ids)), -1)
    return found


def _augmentations(cfg: Any, is_train: bool) -> list[Any]:
    """Build crop, resize and flip as in the released configurations; one draw for each clip."""
    if not is_train:
        return [T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, "choice")]
    if cfg.INPUT.AUGMENTATIONS:
        raise UserError(
            f"INPUT.AUGMENTATIONS: {list(cfg.INPUT.AUGMENTATIONS)}; the released configurations "
            "use none, and none is supported"
        )
    steps: list[Any] = []
    if cfg.INPUT.CROP.ENABLED:
        steps.append(T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    sampling = cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING.removesuffix("_by_clip")
    steps.append(T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, sampling))
    if cfg.INPUT.RANDOM_FLIP != "none":
        steps.append(T.RandomFlip())
    return steps
