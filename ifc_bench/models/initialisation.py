"""First weights other than the paper's, for ablations."""

from __future__ import annotations

import torch
from torch import nn

from ifc_bench.models.communication import Communication
from ifc_bench.models.encoder import EncoderLayer
from ifc_bench.models.ifc import IFC


def zero_added_layers(communication: Communication) -> None:
    """Start what the layers beyond the spatial ones add to their input at zero.

    These are Gather-Communicate, the temporal layers, and the `EncoderLayer`s of a module of one's
    own. The output projection of the attention and the second linear layer of the feed-forward
    become zero, with their biases; what remains of the layer at first is its two norms. No number
    is drawn, so all other weights are those of the same seed.
    """
    spatial = set(communication.spatial.modules())
    for layer in communication.modules():
        if isinstance(layer, EncoderLayer) and layer not in spatial:
            for last in (layer.attention.out, layer.feedforward.outer):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)


@torch.no_grad()
def start_memory_at(network: IFC, std: float) -> None:
    """Scale the memory tokens [M, C] and their positions from variance 2 / M to `std`."""
    tokens = network.memory.shape[0]
    for learned in (network.memory, network.memory_positions) if tokens else ():
        learned.mul_(std / (2 / tokens) ** 0.5)
