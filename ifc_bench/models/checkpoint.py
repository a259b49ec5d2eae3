"""Reads and writes checkpoints of the authors' released code, without detectron2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ifc_bench.config import InterFrame, ModelConfig, ResNetBackbone
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.imagenet import detectron2_name, fitting, read_weights, tensors

_TRANSFORMER = "detr.transformer."
_BACKBONE = "detr.backbone.0.backbone."
_PREFIXES = {
    "memory_positions": _TRANSFORMER + "memory_pos",
    "memory": _TRANSFORMER + "memory_bus",
    "communication.spatial.": _TRANSFORMER + "encoder.enc_layers.",
    "communication.gather.": _TRANSFORMER + "encoder.bus_layers.",
    "decoder.query_positions": "detr.query_embed.weight",
    "decoder.": _TRANSFORMER + "clip_decoder.",
    "project.": "detr.input_proj.",
    "heads.classify.": "detr.class_embed.",
    "heads.convolve.": "detr.mask_head.convert_to_weight.",
    "heads.spatial.depthwise.": "detr.mask_head.out_lay.depthwise.",
    "heads.spatial.pointwise.": "detr.mask_head.out_lay.pointwise.",
}
_LEVELS = {"smooth": "lay", "norms": "gn", "laterals": "adapter"}
_LAYER_PARTS = {
    ".self_attention.": ".self_attn.",
    ".cross_attention.": ".multihead_attn.",
    ".attention.": ".self_attn.",
    ".feedforward.inner.": ".linear1.",
    ".feedforward.outer.": ".linear2.",
    ".attention_norm.": ".norm1.",
    ".self_norm.": ".norm1.",
    ".cross_norm.": ".norm2.",
    ".in_weight": ".in_proj_weight",
    ".in_bias": ".in_proj_bias",
    ".out.": ".out_proj.",
}
_CLASSES = "detr.class_embed.layers.1.weight"
_MOST_LAYERS = 64
_IGNORED = frozenset({"criterion.empty_weight"})  # a constant of the loss, not a weight


def released_name(key: str) -> str:
    """Return the released code's name of our parameter `key`."""
    if key.startswith("backbone.body."):
        return _BACKBONE + detectron2_name(key.removeprefix("backbone.body."))
    if level := re.fullmatch(r"heads\.spatial\.(smooth|norms|laterals)\.(\d)\.(\w+)", key):
        return f"detr.mask_head.{_LEVELS[level[1]]}{int(level[2]) + 1}.{level[3]}"
    for ours, theirs in _PREFIXES.items():
        if key.startswith(ours):
            key = theirs + key.removeprefix(ours)
            break
    for ours, theirs in _LAYER_PARTS.items():
        key = key.replace(ours, theirs)
    last = ".norm3." if "clip_decoder" in key else ".norm2."
    return key.replace(".feedforward_norm.", last)


def load_released_checkpoint(
    source: str | Path | Mapping[str, Tensor],
    convention: Literal["torchvision", "msra"] | None = None,
) -> IFC:
    """Load a released checkpoint into our IFC, in evaluation mode.

    Args:
        source: a file written by `torch.save`, with the state dict at the top level or under
            "model"; a `.pkl` of arrays; or a state dict. The configuration (ResNet-50 or -101, M,
            Q, K, widths, layers) is inferred from its shapes; the 8 heads are the released ones.
        convention: the backbone's strided layers and pixel format, which shapes do not determine.
            None: as in the released configurations, torchvision's for ResNet-50 and MSRA's for
            ResNet-101.

    Raises:
        UserError: if a key is missing, unexpected, of another shape or not finite; it is named.
    """
    where, released = _read(source)
    config = _infer(released, where, convention)
    expected = _expected(config, where)
    names = {key: released_name(key) for key in expected}
    weights = {key: fitting(released, name, expected[key], where) for key, name in names.items()}
    for key in sorted(released.keys() - set(names.values()) - _IGNORED):
        raise UserError(f"{where}: {key[:80]}: unexpected key; the model has no such parameter")
    model = build_model(config)
    model.load_state_dict(weights)
    return model.eval()


_NO_WEIGHTS = ("backbone", "attention", "dropout", "added_layers_start")  # fields of a ModelConfig


def as_released(
    weights: Mapping[str, Tensor], model: ModelConfig, no_object: float
) -> dict[str, Tensor]:
    """The weights of a network under the names of the released code, which has IFC alone.

    Args:
        weights: the state dict of a network as `model` describes it.
        model: the network.
        no_object: the loss weight of "no object", which the released code keeps with the weights.

    Raises:
        UserError: if the released code has no such network; the first difference is named.
    """
    if not isinstance(model.backbone, ResNetBackbone):
        raise UserError(f"the released code has a ResNet, not the backbone {model.backbone.kind}")
    if not isinstance(model.communication, InterFrame) or not model.communication.memory_tokens:
        raise UserError("the released code has IFC alone, with memory tokens")
    renamed = {released_name(key): value for key, value in weights.items()}
    theirs = _infer(renamed, "weights", None)
    usual = theirs.backbone
    if isinstance(usual, ResNetBackbone) and usual.convention != model.backbone.convention:
        raise UserError(
            f"the released code has a ResNet-{model.backbone.depth} of {usual.convention}'s "
            f"convention, not {model.backbone.convention}'s"
        )
    for name in ModelConfig.model_fields:
        ours, expected = getattr(model, name), getattr(theirs, name)
        if name not in _NO_WEIGHTS and ours != expected:
            raise UserError(f"the released code has {name} {expected}, not {ours}")
    of_classes = torch.ones(model.classes + 1)
    of_classes[-1] = no_object
    return {**renamed, "criterion.empty_weight": of_classes}


@dataclass(frozen=True)
class Start:
    """Result of loading a checkpoint as initial weights.

    Attributes:
        loaded: our parameters that were loaded.
        new: our parameters that the checkpoint does not have, or has in another shape.
        unused: the checkpoint's entries that were not loaded.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]


def start_from_released(model: IFC, source: str | Path | Mapping[str, Tensor]) -> Start:
    """Load the matching parameters of a released IFC checkpoint into any variant.

    Raises:
        UserError: if no parameter matches, a match is not finite, or the file is not a checkpoint.
    """
    where, released = _read(source)
    expected = model.state_dict()
    names = {key: released_name(key) for key in expected}
    fits = {
        key: fitting(released, name, expected[key], where)
        for key, name in names.items()
        if name in released and released[name].shape == expected[key].shape
    }
    if not fits:
        raise UserError(f"{where}: no entry matches the model; is this a checkpoint of IFC?")
    model.load_state_dict(fits, strict=False)
    taken = {names[key] for key in fits} | _IGNORED
    return Start(
        loaded=tuple(fits),
        new=tuple(key for key in expected if key not in fits),
        unused=tuple(sorted(released.keys() - taken)),
    )


def _read(source: str | Path | Mapping[str, Tensor]) -> tuple[str, Mapping[str, Tensor]]:
    if isinstance(source, Mapping):
        return "state dict", tensors(source, "state dict")
    return str(source), read_weights(Path(source))


def _expected(config: ModelConfig, where: str) -> dict[str, Tensor]:
    """Build the state dict on the meta device: a size claimed by a file must not cost memory."""
    try:
        with torch.device("meta"):
            return build_model(config).state_dict()
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _infer(
    released: Mapping[str, Tensor], where: str, convention: Literal["torchvision", "msra"] | None
) -> ModelConfig:
    """Infer the configuration from the shapes."""

    def sizes(key: str) -> tuple[int, int]:
        if key not in released:
            raise UserError(f"{where}: {key}: missing; is this a checkpoint of the released IFC?")
        shape = list(released[key].shape)
        if len(shape) != 2 or 0 in shape:
            raise UserError(f"{where}: {key}: has shape {shape}, expected two sizes of 1 or more")
        return shape[0], shape[1]

    tokens, width = sizes(_TRANSFORMER + "memory_bus")
    blocks = _count(released, _BACKBONE + "res4", where)
    if blocks not in (6, 23):
        raise UserError(
            f"{where}: {_BACKBONE}res4: has {blocks} blocks, ResNet-50 has 6 and ResNet-101 has 23"
        )
    rows, _ = sizes(_CLASSES)
    if rows < 2:
        raise UserError(f"{where}: {_CLASSES}: has 1 row, expected one per class and one for none")
    deep = blocks == 23
    return ModelConfig(
        classes=rows - 1,
        backbone=ResNetBackbone(
            depth=101 if deep else 50,
            convention=convention or ("msra" if deep else "torchvision"),
        ),
        communication=InterFrame(memory_tokens=tokens),
        width=width,
        feedforward=sizes(_TRANSFORMER + "encoder.enc_layers.0.linear1.weight")[0],
        encoder_layers=_count(released, _TRANSFORMER + "encoder.enc_layers", where),
        decoder_layers=_count(released, _TRANSFORMER + "clip_decoder.layers", where),
        queries=sizes("detr.query_embed.weight")[0],
    )


def _count(released: Mapping[str, Tensor], prefix: str, where: str) -> int:
    """Count the layers numbered consecutively from 0; entries after a gap are not layers."""
    pattern = re.compile(rf"^{re.escape(prefix)}\.(\d{{1,3}})\.")
    numbers = {int(found[1]) for key in released if (found := pattern.match(key))}
    count = next(n for n in range(len(numbers) + 1) if n not in numbers)
    if not 0 < count <= _MOST_LAYERS:
        raise UserError(f"{where}: {prefix}: has {count} layers, expected 1 to {_MOST_LAYERS}")
    return count
