"""The invariants of the seam: who may see whom."""

import pytest
import torch

from ifc_bench.config import Communication, DecompTHW, FullTHW, InterFrame, NoComm
from ifc_bench.models.build import build_communication
from tests.conftest import tiny_model

VARIANTS: list[Communication] = [
    NoComm(),
    FullTHW(),
    DecompTHW(),
    InterFrame(memory_tokens=0),
    InterFrame(memory_tokens=3),
    InterFrame(memory_tokens=16),
    InterFrame(memory_tokens=3, grouping="unified"),
]
B, N, C = 2, 6, 16


def module_and_inputs(communication: Communication, frames: int = 4):
    torch.manual_seed(0)
    module = build_communication(tiny_model(communication)).eval()
    memory = communication.memory_tokens
    sizes = [(B, frames, N, C), (B, frames, memory, C)] * 2
    return module, [torch.randn(size) for size in sizes]


@pytest.mark.parametrize("communication", VARIANTS, ids=str)
@pytest.mark.parametrize("frames", [1, 4])
def test_shapes_are_kept(communication, frames):
    module, inputs = module_and_inputs(communication, frames)
    tokens, memory = module(*inputs)
    assert tokens.shape == inputs[0].shape
    assert memory.shape == inputs[1].shape
    assert torch.isfinite(tokens).all()


def reach_of_last_frame(communication: Communication) -> float:
    """How much the first frame's tokens change with the last frame's."""
    module, inputs = module_and_inputs(communication)
    before, _ = module(*inputs)
    inputs[0][:, -1] += 1.0
    after, _ = module(*inputs)
    return (after[:, 0] - before[:, 0]).abs().max().item()


@pytest.mark.parametrize("communication", [NoComm(), InterFrame(memory_tokens=0)], ids=str)
def test_without_communication_frames_are_blind_to_each_other(communication):
    assert reach_of_last_frame(communication) == 0.0


@pytest.mark.parametrize(
    "communication",
    [v for v in VARIANTS if v.kind != "none" and (v.kind != "ifc" or v.memory_tokens)],
    ids=str,
)
def test_with_communication_frames_see_each_other(communication):
    assert reach_of_last_frame(communication) > 1e-4


@pytest.mark.parametrize("grouping", ["decomposed", "unified"])
def test_memory_indices_are_independent_in_a_decomposed_step_only(grouping):
    module, inputs = module_and_inputs(InterFrame(memory_tokens=3, grouping=grouping))
    frames, memory = inputs[:2]
    _, before = module.across(0, frames, memory, None)
    changed = memory.clone()
    changed[:, :, 2] += 1.0
    _, after = module.across(0, frames, changed, None)
    assert (after[:, :, 2] - before[:, :, 2]).abs().max() > 1e-4
    others = (after[:, :, :2] - before[:, :, :2]).abs().max()
    assert others == 0 if grouping == "decomposed" else others > 1e-4


def test_decomposed_has_one_temporal_layer_less_than_spatial():
    module, _ = module_and_inputs(DecompTHW())
    assert (len(module.spatial), len(module.temporal)) == (3, 2)


def test_decomposed_temporal_layer_stays_at_its_location():
    module, inputs = module_and_inputs(DecompTHW())
    before, _ = module.across(0, inputs[0], inputs[1], None)
    changed = inputs[0].clone()
    changed[:, -1, 3] += 1.0
    after, _ = module.across(0, changed, inputs[1], None)
    moved = (after - before).abs().amax((0, 1, 3)) > 1e-6
    assert moved.tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("communication", VARIANTS, ids=str)
def test_clips_of_a_batch_do_not_mix(communication):
    module, inputs = module_and_inputs(communication)
    together, _ = module(*inputs)
    alone, _ = module(*(x[1:] for x in inputs))
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("communication", [v for v in VARIANTS if v.kind != "decomposed"], ids=str)
def test_padding_is_never_read(communication):
    module, inputs = module_and_inputs(communication)
    padding = torch.zeros(B, 4, N, dtype=torch.bool)
    padding[:, :, -2:] = True
    before, _ = module(*inputs, padding=padding)
    inputs[0][:, :, -2:] = 7.0
    after, _ = module(*inputs, padding=padding)
    torch.testing.assert_close(after[:, :, :-2], before[:, :, :-2])
