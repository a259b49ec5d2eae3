"""Registers the user's data and weights, and changes presets to use them. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from ifc_bench.config import FolderData
from ifc_bench.data.catalogue import Adopted, adopt, find
from ifc_bench.errors import UserError
from ifc_bench.recipe import DataSize, Preset, Stage, varied
from ifc_bench.store import Store
from ifc_bench.training.weights_file import adopt_weights


def with_data(preset: Preset, root: Path | None, name: str | None, store: Store) -> Preset:
    """Change `preset` to the user's data under `root`; without `root`, keep its data.

    The number of classes and, if the preset counts in epochs, of iterations depend on the data. A
    video shorter than a window is one window of its length, as in the paper.

    Raises:
        UserError: if `root` is needed, or does not have the data.
    """
    data = preset.video.data
    own = data.name if isinstance(data, FolderData) else None
    if root is None:
        if own or name:
            raise UserError(f"--data: preset {preset.name} needs the directory of {own or name}")
        return preset
    videos = adopt(root, name or own or "folder", store)
    shrinking = {"short_videos": "shrink"}
    image = preset.image.with_changes({}, shrinking)
    if own:
        image = _on_images(image, preset, root, store)
    video = _on(preset.video.with_changes({}, shrinking), videos)
    pretrain = preset.pretrain and own is not None  # that of embedded scenes is not for real ones
    return preset.model_copy(update={"video": video, "image": image, "pretrain": pretrain})


def _on_images(stage: Stage, preset: Preset, root: Path, store: Store) -> Stage:
    """Change the image stage to COCO under `root`; without pretraining, COCO may be missing."""
    try:
        find(root, "coco")
    except UserError:
        if preset.pretrain:
            raise
        return stage
    return _on(stage, adopt(root, "coco", store))


def _on(stage: Stage, adopted: Adopted) -> Stage:
    """Change `stage` to the user's data, and convert its epochs to iterations."""
    if stage.epochs is not None:
        clips = stage.optimisation.clips
        total, drop = (round(e * adopted.train.frames / clips) or 1 for e in stage.epochs)
        stage = stage.with_changes({"iterations": total, "drop_at": (drop,)}, {})
    size = DataSize(
        train_videos=adopted.train.videos,
        train_frames=adopted.train.frames,
        valid_videos=adopted.valid.videos,
        valid_frames=adopted.valid.frames,
    )
    return varied(stage, {"data": adopted.data, "classes": adopted.classes, "size": size})


def with_start(preset: Preset, path: Path | None, store: Store) -> Preset:
    """Change `preset` to start from a weights file of the user.

    A released IFC checkpoint replaces the training on images; ImageNet weights precede it.

    Raises:
        UserError: if there is no such file, or it does not match the backbone.
    """
    if path is None:
        return preset
    weights = adopt_weights(path, store)
    backbone = preset.model.backbone.kind
    if weights.content == "imagenet" and backbone != "resnet":
        raise UserError(
            f"--weights: {path}: is not a released IFC checkpoint, and ImageNet weights need a "
            f"ResNet: the backbone of preset {preset.name} is {backbone}"
        )
    pretrain = preset.pretrain and weights.content == "imagenet"
    return preset.model_copy(
        update={"start": weights, "weights_name": path.name, "pretrain": pretrain}
    )
