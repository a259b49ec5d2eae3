"""Loads checkpoints of the authors' released code into our model. Needs no detectron2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ifc_bench.config import InterFrame, ModelConfig, ResNetBackbone
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC

_Replacement = str | Callable[[re.Match[str]], str]


def _one_lower(template: str) -> _Replacement:
    """Puts the first group less one into `template`, and the others as they are."""
    return lambda match: template.format(int(match[1]) - 1, *match.groups()[1:])


_BLOCK = r"^backbone\.0\.backbone\.res(\d)\.(\d+)\."
_RENAMING: list[tuple[str, _Replacement]] = [
    (r"^detr\.", ""),
    (r"^transformer\.memory_bus$", "memory"),
    (r"^transformer\.memory_pos$", "memory_positions"),
    (r"^transformer\.encoder\.enc_layers\.", "communication.spatial."),
    (r"^transformer\.encoder\.bus_layers\.", "communication.gather."),
    (r"^transformer\.clip_decoder\.", "decoder."),
    (r"^query_embed\.weight$", "decoder.query_positions"),
    (r"^input_proj\.", "project."),
    (r"^class_embed\.", "heads.classify."),
    (r"^mask_head\.convert_to_weight\.", "heads.convolve."),
    (r"^mask_head\.lay(\d)\.", _one_lower("heads.spatial.smooth.{}.")),
    (r"^mask_head\.gn(\d)\.", _one_lower("heads.spatial.norms.{}.")),
    (r"^mask_head\.adapter(\d)\.", _one_lower("heads.spatial.laterals.{}.")),
    (r"^mask_head\.out_lay\.", "heads.spatial."),
    (r"^backbone\.0\.backbone\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"^backbone\.0\.backbone\.stem\.", "backbone.body."),
    (_BLOCK + r"shortcut\.norm\.", _one_lower("backbone.body.layer{}.{}.downsample.1.")),
    (_BLOCK + r"shortcut\.", _one_lower("backbone.body.layer{}.{}.downsample.0.")),
    (_BLOCK + r"conv(\d)\.norm\.", _one_lower("backbone.body.layer{}.{}.bn{}.")),
    (_BLOCK + r"conv(\d)\.", _one_lower("backbone.body.layer{}.{}.conv{}.")),
    (r"\.in_proj_(weight|bias)$", r".in_\1"),
    (r"\.out_proj\.", ".out."),
    (r"\.multihead_attn\.", ".cross_attention."),
    (r"^(communication\..*)\.self_attn\.", r"\1.attention."),
    (r"^(decoder\..*)\.self_attn\.", r"\1.self_attention."),
    (r"\.linear1\.", ".feedforward.inner."),
    (r"\.linear2\.", ".feedforward.outer."),
    (r"^(communication\..*)\.norm1\.", r"\1.attention_norm."),
    (r"^(communication\..*)\.norm2\.", r"\1.feedforward_norm."),
    (r"^(decoder\..*)\.norm1\.", r"\1.self_norm."),
    (r"^(decoder\..*)\.norm2\.", r"\1.cross_norm."),
    (r"^(decoder\..*)\.norm3\.", r"\1.feedforward_norm."),
]
_IGNORED = frozenset({"criterion.empty_weight"})  # a constant of the loss, no weight


def load_released_checkpoint(source: str | Path | Mapping[str, Tensor]) -> IFC:
    """Our IFC in evaluation mode with the weights of a released checkpoint.

    Args:
        source: a file that `torch.save` wrote, with the state dict itself or under "model"; or a
            state dict. The configuration (ResNet-50 or -101, M, Q, K, widths, layers) is inferred
            from its shapes; 8 heads are the released configuration's.

    Raises:
        UserError: where a key is missing, left over or of another shape; it is named.
    """
    where, released = _read(source)
    weights = {rename(key): tensor for key, tensor in released.items() if key not in _IGNORED}
    model = build_model(_infer(weights, where))
    expected = model.state_dict()
    original = {rename(key): key for key in released}
    for key in sorted(expected.keys() - weights.keys()):
        raise UserError(f"{where}: {key}: missing; the checkpoint has no entry for it")
    for key in sorted(weights.keys() - expected.keys()):
        raise UserError(f"{where}: {original[key]}: left over; no part of the model takes it")
    for key, tensor in weights.items():
        if tensor.shape != expected[key].shape:
            raise UserError(
                f"{where}: {original[key]}: has shape {list(tensor.shape)}, the model needs "
                f"{list(expected[key].shape)}"
            )
    model.load_state_dict(weights)
    return model.eval()


def rename(key: str) -> str:
    """Our name of a released parameter."""
    for pattern, replacement in _RENAMING:
        key = re.sub(pattern, replacement, key)
    return key


def _read(source: str | Path | Mapping[str, Tensor]) -> tuple[str, Mapping[str, Tensor]]:
    if isinstance(source, Mapping):
        return "state dict", source
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{source}: no such file") from None
    except Exception as error:
        raise UserError(
            f"{source}: not a checkpoint of tensors alone ({type(error).__name__}); nothing else "
            "is read from outside"
        ) from error
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{source}: top level: expected a state dict, or one under 'model'")
    return str(source), state


def _infer(weights: Mapping[str, Tensor], where: str) -> ModelConfig:
    """The configuration behind the shapes."""

    def shape(key: str) -> torch.Size:
        if key not in weights:
            raise UserError(f"{where}: {key}: missing; is this a checkpoint of the released IFC?")
        return weights[key].shape

    def layers(prefix: str) -> int:
        pattern = re.compile(rf"^{re.escape(prefix)}\.(\d+)\.")
        return 1 + max((int(m[1]) for k in weights if (m := pattern.match(k))), default=-1)

    tokens, width = shape("memory")
    blocks = layers("backbone.body.layer3")
    if blocks not in (6, 23):
        raise UserError(
            f"{where}: res4: has {blocks} blocks, ResNet-50 has 6 and ResNet-101 has 23"
        )
    return ModelConfig(
        classes=shape("heads.classify.layers.1.weight")[0] - 1,
        backbone=ResNetBackbone(depth=50 if blocks == 6 else 101),
        communication=InterFrame(memory_tokens=tokens),
        width=width,
        feedforward=shape("communication.spatial.0.feedforward.inner.weight")[0],
        encoder_layers=layers("communication.spatial"),
        decoder_layers=layers("decoder.layers"),
        queries=shape("decoder.query_positions")[0],
    )
