"""From what a user points at, data and weights, to what work can name. No torch."""

from __future__ import annotations

from pathlib import Path

from ifc_bench.config import FolderData, Optimisation
from ifc_bench.data.catalogue import Adopted, adopt, find
from ifc_bench.errors import UserError
from ifc_bench.recipe import Preset
from ifc_bench.store import Store


def with_data(preset: Preset, root: Path | None, name: str | None, store: Store) -> Preset:
    """`preset` on the user's data under `root`; without `root`, on its own.

    The number of classes and, where the preset counts in epochs, of iterations follow the data. A
    video shorter than a window is one window of its length, which is the paper's protocol.

    Raises:
        UserError: where `root` is needed, or does not hold the data.
    """
    own = preset.data.name if isinstance(preset.data, FolderData) else None
    if root is None:
        if own or name:
            raise UserError(
                f"--data: preset {preset.name} needs the folder that holds {own or name}"
            )
        return preset
    videos = adopt(root, name or own or "folder", store)
    changes: dict[str, object] = {
        "data": videos.data,
        "short_videos": "shrink",
        "model": preset.model.model_copy(update={"classes": videos.classes}),
        "optimisation": _scheduled(preset.optimisation, preset.epochs, videos),
    }
    if preset.pretrain or own:
        changes |= _image_changes(preset, root, store)
    return preset.model_copy(update=changes)


def _image_changes(preset: Preset, root: Path, store: Store) -> dict[str, object]:
    """The images that a preset for real data trains on first; without need, they may be missing."""
    try:
        find(root, "coco")
    except UserError:
        if preset.pretrain:
            raise
        return {}
    images = adopt(root, "coco", store)
    schedule = _scheduled(preset.image_optimisation, preset.image_epochs, images)
    return {
        "image_data": images.data,
        "image_classes": images.classes,
        "image_optimisation": schedule,
    }


def _scheduled(
    schedule: Optimisation, epochs: tuple[int, int] | None, adopted: Adopted
) -> Optimisation:
    """`schedule` with iterations for all epochs and for those before the rate drops."""
    if epochs is None:
        return schedule
    total, drop = (round(e * adopted.frames / schedule.clips) or 1 for e in epochs)
    return schedule.model_copy(update={"iterations": total, "drop_at": (drop,)})


def with_start(preset: Preset, path: Path | None, store: Store) -> Preset:
    """`preset` started from a weights file of the user's.

    A released checkpoint of IFC replaces the training on images; ImageNet weights come before it.

    Raises:
        UserError: where there is no such file.
    """
    if path is None:
        return preset
    weights = store.adopt_weights(path)
    backbone = preset.model.backbone.kind
    if weights.content == "imagenet" and backbone != "resnet":
        raise UserError(
            f"--start: {path}: holds no released IFC, and ImageNet weights are for a ResNet: the "
            f"backbone of preset {preset.name} is {backbone}"
        )
    pretrain = preset.pretrain and weights.content == "imagenet"
    return preset.model_copy(update={"start": weights, "pretrain": pretrain})
