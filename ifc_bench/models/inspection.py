"""Looking inside the network: what memory tokens attend to, and what the parts are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifc_bench.config import ModelConfig
from ifc_bench.errors import UserError
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.build import build_model
from ifc_bench.models.communication import Communication
from ifc_bench.models.encoder import EncoderLayer
from ifc_bench.models.ifc import IFC


def memory_attention(model: IFC, clip: Tensor, block: int = -1) -> Tensor:
    """What each memory token of a clip attends to in its own frame (paper, Figure 2).

    Args:
        model: an IFC with memory tokens.
        clip: RGB in 0..255, [T, 3, H, W].
        block: which Encode-Receive layer; the last by default.

    Returns:
        Attention weights [T, M, h, w] at the tokens' stride, means over heads, scaled so that those
        on frame tokens sum to 1 for each memory token and frame.

    Raises:
        UserError: where the model has no memory tokens, or `block` is none of its layers.
    """
    tokens = model.memory.shape[0]
    layers = len(model.communication.spatial)
    if not tokens:
        raise UserError("the model has no memory tokens, so there is no attention of theirs")
    if not -layers <= block < layers:
        raise UserError(f"--block: {block} is none of the {layers} Encode-Receive layers, 0 first")
    layer = model.communication.spatial[block]
    assert isinstance(layer, EncoderLayer)
    attention = layer.attention
    seen: list[Tensor] = []

    def listen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(attention_weights(attention, inputs[0][:, -tokens:], inputs[1]))

    handle = attention.register_forward_pre_hook(listen)
    try:
        with torch.no_grad():
            maps = model.features(clip)
            model.decode([m[None] for m in maps])
    finally:
        handle.remove()
    found = seen[0][..., :-tokens]  # [T, M, N]: the memory tokens stand last
    return (found / found.sum(-1, keepdim=True)).unflatten(-1, maps[-1].shape[-2:])


def attention_weights(attention: MultiHeadAttention, query: Tensor, key: Tensor) -> Tensor:
    """Weights [B, L, S] from `query` [B, L, C] to `key` [B, S, C], means over heads."""
    width = query.shape[-1]
    weight, bias = attention.in_weight[: 2 * width], attention.in_bias[: 2 * width]
    q = F.linear(query, weight[:width], bias[:width])
    k = F.linear(key, weight[width:], bias[width:])
    q, k = (x.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for x in (q, k))
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1).mean(1)


def foreground_share(attention: Tensor, foreground: Tensor) -> Tensor:
    """How much of each memory token's attention lies on instances, over a whole clip.

    `attention` is [T, M, h, w] and `foreground` bool [T, H, W]; returns M fractions in 0..1. An
    attention that looks nowhere in particular gives the instances' share of the area.
    """
    height, width = attention.shape[-2:]
    cover = F.adaptive_avg_pool2d(foreground[:, None].float(), (height, width))
    return (attention * cover).sum((2, 3)).mean(0)


def predicted_foreground(model: IFC, clip: Tensor, threshold: float = 0.3) -> Tensor:
    """Pixels bool [T, h, w], at the mask stride, of any instance found in `clip` [T, 3, H, W].

    An instance counts from a class probability of `threshold`.
    """
    with torch.no_grad():
        found = model(clip[None])
    scores = found.class_logits[0].softmax(-1)[:, :-1].amax(-1)
    return (found.mask_logits[0][scores > threshold] > 0).any(0)


@dataclass(frozen=True)
class Part:
    """A module of the network: its parameters, and the shape of what it gives.

    `block` is the encoder block that it belongs to, from 0; None outside the encoder.
    """

    name: str
    parameters: int
    shape: tuple[int, ...]
    block: int | None = None


def parts(model: ModelConfig, frames: int, height: int, width: int) -> list[Part]:
    """The parts of the network in the order in which they run, for one clip (paper, Figure 3).

    Built and run on the meta device: neither memory nor time. Shapes are of T frames, or of one
    clip for the decoder and its heads. The learned memory tokens (and their positions) stand last.
    """
    found: list[Part] = []
    with torch.device("meta"), torch.no_grad():
        network = build_model(model).eval()
        for name, block, module in _named_parts(network):
            module.register_forward_hook(_noting(found, name, block))
        network(torch.empty(1, frames, 3, height, width))
    if network.memory.shape[0]:
        found.append(Part("memory tokens", 2 * network.memory.numel(), tuple(network.memory.shape)))
    return found


def _named_parts(network: IFC) -> list[tuple[str, int | None, nn.Module]]:
    """Modules that a reader of the paper knows, with its names for them."""
    heads = network.heads
    return [
        ("backbone", None, network.backbone),
        ("projection", None, network.project),
        *_layers(network.communication),
        ("decoder", None, network.decoder),
        ("spatial decoder", None, heads.spatial),
        ("mask head", None, heads.convolve),
        ("class head", None, heads.classify),
    ]


def _layers(communication: Communication) -> list[tuple[str, int | None, nn.Module]]:
    """The encoder's layers: in their own names those of the paper, else what they join."""
    within = "over all frames" if communication.joined == (1, 2) else "within frames"
    across = {"temporal": "across frames", "gather": "Gather-Communicate"}
    if getattr(communication, "gather", None):
        within = "Encode-Receive"
    return [
        (name, block, layer)
        for attribute, name in ({"spatial": within} | across).items()
        for block, layer in enumerate(getattr(communication, attribute, ()))
    ]


def _noting(
    found: list[Part], name: str, block: int | None
) -> Callable[[nn.Module, object, object], None]:
    """A forward hook that adds a part to `found`."""

    def note(module: nn.Module, inputs: object, output: object) -> None:
        last = output[-1] if isinstance(output, list) else output
        assert isinstance(last, Tensor)
        count = sum(parameter.numel() for parameter in module.parameters())
        found.append(Part(name, count, tuple(last.shape), block))

    return note
