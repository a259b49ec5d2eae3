"""Where a training's first weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import torch

from ifc_bench.config import ImageNet, Training, WeightsFile
from ifc_bench.errors import UserError
from ifc_bench.models.checkpoint import Start, start_from_released
from ifc_bench.models.ifc import IFC
from ifc_bench.models.imagenet import load_imagenet_weights
from ifc_bench.store import Store
from ifc_bench.training.trainer import finished_weights

if TYPE_CHECKING:
    from ifc_bench.models.resnet import ResNet


def start_model(model: IFC, work: Training, store: Store) -> list[str] | None:
    """Fill a fresh `model` as `work.start` says; gives what of it stays fresh.

    Raises:
        UserError: where the weights are not there, or do not fit.
    """
    match work.start:
        case None:
            return None
        case Training():
            weights = finished_weights(store.checkpoint_path(work.start), work.start)
            return list(start_from_own(model, weights).new)
        case ImageNet():
            backbone = _resnet(model, work)
            load_imagenet_weights(backbone, fetched(backbone))
        case WeightsFile(content=content):
            path = store.weights_path(work.start)
            if not path.exists():
                raise UserError(f"{path}: no such file; give the weights again with --start")
            if content == "released":
                return list(start_from_released(model, path).new)
            load_imagenet_weights(_resnet(model, work), path)
    return [key for key in model.state_dict() if not key.startswith("backbone.")]


def start_from_own(model: IFC, weights: dict[str, torch.Tensor]) -> Start:
    """Fill `model` with what fits of another training's weights."""
    expected = model.state_dict()
    fits = {k: v for k, v in weights.items() if k in expected and v.shape == expected[k].shape}
    model.load_state_dict(fits, strict=False)
    return Start(
        loaded=tuple(fits),
        new=tuple(key for key in expected if key not in fits),
        unused=tuple(key for key in weights if key not in fits),
    )


def fetched(backbone: ResNet) -> Path:
    """torchvision's ImageNet weights, fetched once into torch's own cache."""
    import torchvision  # a second to import

    url = torchvision.models.get_weight(f"ResNet{backbone.depth}_Weights.IMAGENET1K_V1").url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except (URLError, OSError) as error:
            raise UserError(
                f"{path}: not there, and {url} cannot be fetched ({error}); put the file there, or "
                "give ImageNet weights with --start"
            ) from None
    return path


def _resnet(model: IFC, work: Training) -> ResNet:
    from ifc_bench.models.resnet import ResNet

    if not isinstance(model.backbone, ResNet):
        raise UserError(
            f"start: ImageNet weights are a ResNet's, model.backbone is {work.model.backbone.kind}"
        )
    return model.backbone
