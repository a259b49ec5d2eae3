"""Scopes of the network: their sums, and the encoder's formulas in docs/measuring.md."""

import json

import pytest
import torch
import torch.nn.functional as F

from ifc_bench.config import COUNTED, DecompTHW, FullTHW, InterFrame, ModelConfig, NoComm
from ifc_bench.measuring.counts import ScopeCounter, model_costs
from ifc_bench.measuring.macs import encoder_macs
from ifc_bench.models.build import build_model
from tests.conftest import one_line_error, run_cli, tiny_model


def layer(length: int, width: int = 256, hidden: int = 2048) -> int:
    """One transformer layer over a sequence: projections, attention, feed-forward, two norms."""
    projections = 4 * length * width**2
    attention = 2 * length**2 * width
    feedforward = 2 * length * width * hidden
    return projections + attention + feedforward + 2 * 5 * length * width


FORMULAS = {
    "none": (NoComm(), lambda t, n: 3 * t * layer(n)),
    "full": (FullTHW(), lambda t, n: 3 * layer(t * n)),
    "decomposed": (DecompTHW(), lambda t, n: 3 * t * layer(n) + 2 * n * layer(t)),
    "ifc": (InterFrame(), lambda t, n: 3 * (t * layer(n + 8) + 8 * layer(t))),
    "unified": (
        InterFrame(grouping="unified"),
        lambda t, n: 3 * (t * layer(n + 8) + layer(8 * t)),
    ),
}


@pytest.mark.parametrize("frames", [1, 5, 36])
@pytest.mark.parametrize("name", FORMULAS)
def test_counts_follow_the_documented_formulas(name, frames):
    communication, formula = FORMULAS[name]
    counted = encoder_macs(ModelConfig(communication=communication), frames, 360, 640)
    assert counted == formula(frames, 12 * 20)


@pytest.mark.parametrize("attention", ["materialised", "math"])
def test_the_encoder_scope_is_table_1s(attention):
    model = ModelConfig(attention=attention)
    costs = model_costs(model, 5, 360, 640)
    assert tuple(costs) == COUNTED
    assert costs["encoder"].macs == encoder_macs(model, 5, 360, 640)
    assert all(cost.macs > 0 and cost.bytes_moved > 0 for cost in costs.values())


def test_parameters_are_those_of_the_network():
    model = ModelConfig(communication=DecompTHW())
    with torch.device("meta"):
        network = build_model(model)
    counted = sum(cost.parameters for cost in model_costs(model, 2, 64, 96).values())
    assert counted == sum(p.numel() for p in network.parameters())


def test_frames_cost_the_backbone_and_the_masks_in_proportion():
    once, twice = (model_costs(ModelConfig(), frames, 360, 640) for frames in (5, 10))
    for scope in ("backbone", "projection"):
        assert twice[scope].macs == 2 * once[scope].macs
    assert 1.8 < twice["mask_head"].macs / once["mask_head"].macs <= 2


def test_bytes_of_known_operations():
    """A convolution reads input, weight and bias and writes its output; a view moves nothing."""
    x = torch.zeros(2, 3, 8, 8, device="meta")
    weight, bias = torch.zeros(5, 3, 1, 1, device="meta"), torch.zeros(5, device="meta")
    with ScopeCounter() as counter:
        y = F.conv2d(x, weight, bias)
        convolution = counter.costs["projection"].bytes_moved
        y.transpose(0, 1).unsqueeze(0)
        views = counter.costs["projection"].bytes_moved - convolution
        with counter.within("decoder"):
            x.expand(10, 2, 3, 8, 8) + x
    assert convolution == 4 * (2 * 3 * 64 + 15 + 5 + 2 * 5 * 64)
    assert views == 0
    assert counter.costs["decoder"].bytes_moved == 4 * (384 + 384 + 3840), "read once, not tenfold"


def test_the_embedded_network_can_be_counted():
    assert all(cost.macs for cost in model_costs(tiny_model(), 3, 32, 48).values())


def test_materialised_attention_moves_more_bytes_than_fused():
    costs = [
        model_costs(ModelConfig(communication=FullTHW(), attention=kernel), 5, 360, 640)["encoder"]
        for kernel in ("materialised", "flash")
    ]
    assert costs[0].macs == costs[1].macs
    assert costs[0].bytes_moved > 2 * costs[1].bytes_moved
    assert costs[0].macs / costs[0].bytes_moved < costs[1].macs / costs[1].bytes_moved


def test_command_counts_all_parts():
    options = ["--communication=ifc", "--window=5", "--frame-size=360x640", "--scopes"]
    done = run_cli("flops", *options, "--format=json")
    rows = json.loads(done.stdout)
    assert [row["scope"] for row in rows] == [*COUNTED, "all"]
    assert rows[-1]["macs"] == sum(row["macs"] for row in rows[:-1])
    assert rows[-1]["parameters"] == 39_148_009, "the released ResNet-50 configuration's"
    assert "macs/byte" in run_cli("flops", *options).stdout
    wrong = run_cli("flops", "--scopes", "--communication=gossip")
    assert "--communication: 'gossip' is none of" in one_line_error(wrong)
