"""Initial weights of a training run: ImageNet, a released checkpoint, or another training run."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import torch

from ifc_bench.config import ImageNet, KeptWeights, Training, WeightsFile
from ifc_bench.errors import UserError
from ifc_bench.file_io import file_hash
from ifc_bench.models.checkpoint import Start, start_from_released
from ifc_bench.models.ifc import IFC
from ifc_bench.models.imagenet import load_imagenet_weights
from ifc_bench.store import Store
from ifc_bench.training.checkpoint import finished_weights
from ifc_bench.training.kept_weights import found_weights, read_kept

if TYPE_CHECKING:
    from ifc_bench.models.resnet import ResNet


def start_model(model: IFC, work: Training, store: Store) -> list[str] | None:
    """Load the initial weights of `work` into `model`; returns the parameters that they lack.

    Raises:
        UserError: if the weights do not exist, or do not match the model.
    """
    match work.start:
        case None:
            return None
        case Training():
            weights = finished_weights(store.checkpoint_path(work.start), work.start)
            return list(start_from_own(model, weights).new)
        case KeptWeights():
            path = found_weights(store, work.start.training)
            return list(start_from_own(model, read_kept(path, work.start.training)).new)
        case ImageNet():
            backbone = _resnet(model, work)
            load_imagenet_weights(backbone, fetched(backbone))
        case WeightsFile(content=content):
            path = store.weights_path(work.start)
            if not path.exists():
                raise UserError(f"{path}: no such file; give the weights again with --weights")
            path = path.resolve()  # the link's target, so that messages name the user's file
            if content == "released":
                return list(start_from_released(model, path).new)
            load_imagenet_weights(_resnet(model, work), path)
    return [key for key in model.state_dict() if not key.startswith("backbone.")]


def start_from_own(model: IFC, weights: dict[str, torch.Tensor]) -> Start:
    """Load the matching parameters of another training run's weights into `model`."""
    expected = model.state_dict()
    fits = {k: v for k, v in weights.items() if k in expected and v.shape == expected[k].shape}
    model.load_state_dict(fits, strict=False)
    return Start(
        loaded=tuple(fits),
        new=tuple(key for key in expected if key not in fits),
        unused=tuple(key for key in weights if key not in fits),
    )


def fetched(backbone: ResNet) -> Path:
    """Download torchvision's ImageNet weights once, into torch's cache; returns the file.

    Raises:
        UserError: if they cannot be downloaded, or are not torchvision's.
    """
    import torchvision  # takes a second to import

    url = torchvision.models.get_weight(f"ResNet{backbone.depth}_Weights.IMAGENET1K_V1").url
    return fetched_file(url, Path(torch.hub.get_dir()) / "checkpoints")


def fetched_file(url: str, folder: Path) -> Path:
    """Download a file such as resnet50-0676ba61.pth, named by the first digits of its SHA-256.

    It is moved into `folder` once its hash is verified. The hash of an existing file is verified
    too.

    Raises:
        UserError: if it cannot be downloaded, or has another hash.
    """
    path = folder / url.rpartition("/")[2]
    prefix = path.stem.rpartition("-")[2]
    if path.exists():
        found = file_hash(path)
        if not found.startswith(prefix):
            raise UserError(
                f"{path}: its SHA-256 begins with {found[:8]}, expected {prefix}; delete it to "
                "download it again"
            )
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (URLError, HTTPException, OSError) as error:
        raise UserError(
            f"{path}: no such file, and {url} cannot be downloaded ({error}); put the file there, "
            "or give ImageNet weights with --weights"
        ) from None
    except RuntimeError as error:  # torch raises it for another hash
        raise UserError(f"{path}: no such file, and {url} gives another: {error}") from None
    return path


def _resnet(model: IFC, work: Training) -> ResNet:
    from ifc_bench.models.resnet import ResNet

    if not isinstance(model.backbone, ResNet):
        raise UserError(
            f"start: ImageNet weights need a ResNet, model.backbone is {work.model.backbone.kind}"
        )
    return model.backbone
