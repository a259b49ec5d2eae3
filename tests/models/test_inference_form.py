"""Forms for inference compute what the release's order of operations does, and do less of it."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ifc_bench.config import (
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
    ResNetBackbone,
    SmallBackbone,
)
from ifc_bench.measuring.scopes import watching
from ifc_bench.models import communication as modules
from ifc_bench.models.build import build_communication, build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import SharedIFC, inference_form
from ifc_bench.models.inspection import memory_attention
from ifc_bench.models.knock_out import isolated, memory_swapped
from ifc_bench.models.resnet import FrozenBatchNorm
from ifc_bench.models.spatial_halves import SmoothedUp
from ifc_bench.tracking import ClipTracker, track_video
from tests.conftest import tiny_model

IFC_KINDS = [
    InterFrame(memory_tokens=3),
    InterFrame(memory_tokens=3, grouping="unified"),
    InterFrame(memory_tokens=0),
    InterFrame(memory_tokens=3, gather_communicate=False),
    InterFrame(memory_tokens=3, decoder_sees_memory=False),
]
VARIANTS = [NoComm(), FullTHW(), DecompTHW(), *IFC_KINDS]
BACKBONES = [SmallBackbone(widths=(8, 8, 16)), ResNetBackbone(depth=18), ResNetBackbone(depth=50)]


def network(talk=None, backbone=BACKBONES[0], **changes) -> IFC:
    """A network with norms that have seen data, in float64, where rounding hides nothing."""
    torch.manual_seed(0)
    stride = 4 if isinstance(backbone, SmallBackbone) else 8
    model = build_model(tiny_model(talk, backbone=backbone, mask_stride=stride, **changes)).eval()
    for norm in model.modules():
        if isinstance(norm, FrozenBatchNorm):
            for statistic in (norm.running_var, norm.weight):
                statistic.uniform_(0.5, 1.5)
            for statistic in (norm.running_mean, norm.bias):
                statistic.normal_()
    return model.double()


def clips(height: int, width: int, frames: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, frames, 3, height, width), generator=generator).byte()


def assert_same(one, other):
    torch.testing.assert_close(one.class_logits, other.class_logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.mask_logits, other.mask_logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", ["shared", "folded"])
@pytest.mark.parametrize("size", [(64, 96), (70, 100)], ids=["even", "odd"])
@pytest.mark.parametrize(
    ("talk", "backbone"),
    [*((talk, BACKBONES[0]) for talk in VARIANTS), *((InterFrame(), net) for net in BACKBONES[1:])],
    ids=str,
)
@torch.no_grad()
def test_logits_are_the_same_but_for_rounding(talk, backbone, size, form):
    """Every variant on the small backbone; the ResNets, whose form is their own, with IFC."""
    model, frames = network(talk, backbone), clips(*size)
    other = inference_form(copy.deepcopy(model), form)
    assert_same(other(frames), model(frames))
    sizes = torch.tensor([size, (size[0] - 9, size[1] - 21)])
    assert_same(other(frames, sizes), model(frames, sizes))


@pytest.mark.parametrize("depth", [18, 50, 101])
def test_no_norm_is_left_in_a_folded_resnet(depth):
    model = inference_form(build_model(ModelConfig(backbone=ResNetBackbone(depth=depth))), "folded")
    assert not any(isinstance(module, FrozenBatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    "size",
    [(8, 12), (7, 12), (8, 11), (7, 11), (3, 3), (4, 1), (1, 1), (2, 2), (5, 9)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_smoothing_before_enlarging(size):
    torch.manual_seed(0)
    smooth = nn.Conv2d(3, 5, 3, padding=1, bias=False).double()
    small = torch.randn(2, 3, -(-size[0] // 2), -(-size[1] // 2), dtype=torch.float64)
    side = torch.randn(2, 5, *size, dtype=torch.float64)
    expected = side + smooth(F.interpolate(small, size=size, mode="nearest"))
    torch.testing.assert_close(SmoothedUp(smooth)(small, side), expected)


def test_a_map_that_is_not_half_is_enlarged_first():
    smooth = nn.Conv2d(3, 5, 3, padding=1, bias=False).double()
    small = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    side = torch.randn(1, 5, 12, 9, dtype=torch.float64)
    expected = side + smooth(F.interpolate(small, size=(12, 9), mode="nearest"))
    torch.testing.assert_close(SmoothedUp(smooth)(small, side), expected)


@pytest.mark.parametrize(
    ("talk", "leading"),
    [
        (NoComm(), 3), (FullTHW(), 0), (DecompTHW(), 1), (InterFrame(), 1),
        (InterFrame(memory_tokens=0), 3), (InterFrame(gather_communicate=False), 3),
    ],
    ids=str,
)  # fmt: skip
def test_layers_before_the_first_exchange_lead(talk, leading):
    module = build_communication(ModelConfig(communication=talk))
    assert module.leading == leading


class _Within(modules.NoComm):
    def within(self, block, frames, memory, positions, padding):
        mixed = frames.mean(1, keepdim=True) + 0 * frames
        return super().within(block, mixed, memory, positions, padding)


class _Across(modules.NoComm):
    def across(self, block, frames, memory, padding):
        return frames.mean(1, keepdim=True) + 0 * frames, memory


class _Forward(modules.Communication):
    def forward(self, frames, memory, frame_positions, memory_positions, padding=None):
        return frames.flip(1), memory


@pytest.mark.parametrize(("own", "leading"), [(_Within, 0), (_Across, 1), (_Forward, 0)])
@torch.no_grad()
def test_a_module_of_ones_own_is_never_cut_short(own, leading):
    model, frames = network(NoComm()), clips(64, 96)
    blocks = iter(model.communication.spatial)
    model.communication = own(lambda: next(blocks), 3)
    assert model.communication.leading == leading
    assert_same(inference_form(copy.deepcopy(model))(frames), model(frames))


@pytest.mark.parametrize("talk", VARIANTS, ids=str)
@torch.no_grad()
def test_knock_outs_reach_the_shared_form(talk):
    model, frames = network(talk), clips(64, 96)
    shared = inference_form(copy.deepcopy(model))
    for knock_out in (isolated, memory_swapped):
        with knock_out(model), knock_out(shared):
            assert_same(shared(frames), model(frames))
    assert_same(shared(frames), model(frames))


def test_attention_is_seen_in_the_shared_form():
    model, clip = network(IFC_KINDS[0]), clips(64, 96)[0]
    shared = inference_form(copy.deepcopy(model))
    for block in (0, -1):
        torch.testing.assert_close(
            memory_attention(shared, clip, block), memory_attention(model, clip, block)
        )


def test_windows_share_what_is_the_frames():
    """The masks of a video are the same; leading layers and laterals run once for each frame."""
    model = network(IFC_KINDS[0], BACKBONES[1]).float()
    with torch.no_grad():  # spread the classes, so that some queries are instances
        model.heads.classify.layers[-1].weight.mul_(20)
    video = clips(70, 100, frames=9)[0]
    shared = inference_form(copy.deepcopy(model))
    assert isinstance(shared, SharedIFC)
    layers, laterals = [0], [0]

    def count(total):
        return lambda _, given, output: total.__setitem__(0, total[0] + len(output))

    shared.communication.spatial[0].register_forward_hook(count(layers))
    shared.beside.smooth[0].register_forward_hook(count(laterals))
    found = [
        track_video(one, lambda i: video[i], 9, ClipTracker((70, 100)), 4)
        for one in (model, shared)
    ]
    assert (layers, laterals) == ([9], [9])
    assert [track.segmentations for track in found[0]] == [
        track.segmentations for track in found[1]
    ]
    assert found[0]


def test_scopes_open_around_what_runs_once_a_frame():
    shared = inference_form(network(NoComm()))
    opened: list[str] = []

    class Watch:
        def __init__(self, scope):
            opened.append(scope)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    with torch.no_grad(), watching(shared, Watch):
        shared.features(clips(64, 96)[0])
    assert opened.count("encoder") == 3
    assert {"backbone", "projection", "encoder", "mask_head"} == set(opened)


def test_it_does_not_train():
    shared = inference_form(network())
    assert not any(parameter.requires_grad for parameter in shared.parameters())
    with pytest.raises(ValueError, match="this form is for inference"):
        shared.train()
