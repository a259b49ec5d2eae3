"""Inspection of the network: attention of memory tokens, and the list of its parts."""

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
    """Compute the attention of each memory token to the tokens of its frame (paper, Figure 2).

    Args:
        model: an IFC with memory tokens.
        clip: RGB in 0..255, [T, 3, H, W].
        block: index of the Encode-Receive layer; the last by default.

    Returns:
        Attention weights [T, M, h, w] at the tokens' stride, averaged over heads, scaled to sum to
        1 over the frame tokens for each memory token and frame.

    Raises:
        UserError: if the model has no memory tokens, or no layer `block`.
    """
    tokens = model.memory.shape[0]
    layers = len(model.communication.spatial)
    if not tokens:
        raise UserError("the model has no memory tokens, so there is no attention to draw")
    if not -layers <= block < layers:
        raise UserError(f"--block: {block} does not exist; the {layers} layers count from 0")
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
    found = seen[0][..., :-tokens]  # [T, M, N]: the memory tokens are last
    return (found / found.sum(-1, keepdim=True)).unflatten(-1, maps[-1].shape[-2:])


def attention_weights(attention: MultiHeadAttention, query: Tensor, key: Tensor) -> Tensor:
    """Compute weights [B, L, S] from `query` [B, L, C] to `key` [B, S, C], averaged over heads."""
    width = query.shape[-1]
    weight, bias = attention.in_weight[: 2 * width], attention.in_bias[: 2 * width]
    q = F.linear(query, weight[:width], bias[:width])
    k = F.linear(key, weight[width:], bias[width:])
    q, k = (x.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for x in (q, k))
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1).mean(1)


def foreground_share(attention: Tensor, foreground: Tensor) -> Tensor:
    """Compute the share of each memory token's attention on instances, over a whole clip.

    `attention` is [T, M, h, w] and `foreground` bool [T, H, W]; returns M fractions in 0..1.
    Uniform attention gives the instances' share of the area.
    """
    height, width = attention.shape[-2:]
    cover = F.adaptive_avg_pool2d(foreground[:, None].float(), (height, width))
    return (attention * cover).sum((2, 3)).mean(0)


def predicted_foreground(model: IFC, clip: Tensor, threshold: float = 0.3) -> Tensor:
    """Predict the pixels, bool [T, h, w] at the mask stride, of any instance in a clip.

    `clip` is [T, 3, H, W]. `threshold` is the minimum class probability of an instance.
    """
    with torch.no_grad():
        found = model(clip[None])
    scores = found.class_logits[0].softmax(-1)[:, :-1].amax(-1)
    return (found.mask_logits[0][scores > threshold] > 0).any(0)


@dataclass(frozen=True)
class Part:
    """A module of the network: number of parameters, and shape of its output.

    `block` is the index of its encoder block, from 0; None outside the encoder.
    """

    name: str
    parameters: int
    shape: tuple[int, ...]
    block: int | None = None


def parts(model: ModelConfig, frames: int, height: int, width: int) -> list[Part]:
    """List the parts of the network in the order in which they run, for one clip (paper, Figure 3).

    The network runs on the meta device, which takes almost no memory or time. Shapes are of T
    frames, or of one clip for the decoder and its heads. The learned memory tokens (and their
    positions) are last.
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
    """Return the modules that the paper names, with the paper's names."""
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
    """Return the encoder's layers, named as in the paper, or by the tokens they join."""
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
    """Create a forward hook that appends a part to `found`."""

    def note(module: nn.Module, inputs: object, output: object) -> None:
        last = output[-1] if isinstance(output, list) else output
        assert isinstance(last, Tensor)
        count = sum(parameter.numel() for parameter in module.parameters())
        found.append(Part(name, count, tuple(last.shape), block))

    return note
