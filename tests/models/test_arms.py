"""The arms of the table why_memory: each changes one thing of IFC, and nothing else."""

import pytest
import torch

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, NoComm
from ifc_bench.models.build import build_model
from ifc_bench.models.encoder import EncoderLayer
from ifc_bench.models.ifc import IFC
from tests.conftest import tiny_model


def network(communication, **changes) -> IFC:
    torch.manual_seed(0)
    return build_model(tiny_model(communication, **changes)).eval()


def frames_and_memory(model: IFC, frames: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(1)
    memory = model.memory.shape[0]
    return [torch.randn(2, frames, n, 16) for n in (6, memory, 6, memory)]


def added(model: IFC) -> list[EncoderLayer]:
    spatial = set(model.communication.spatial)
    layers = [m for m in model.communication.modules() if isinstance(m, EncoderLayer)]
    return [layer for layer in layers if layer not in spatial]


@pytest.mark.parametrize(
    ("communication", "layers"),
    [(NoComm(), 0), (FullTHW(), 0), (DecompTHW(), 2), (InterFrame(memory_tokens=3), 3)],
    ids=str,
)
def test_added_layers_of_every_variant_start_at_zero_and_nothing_else_does(communication, layers):
    paper = network(communication)
    zero = network(communication, added_layers_start="zero")
    assert len(added(zero)) == layers
    tokens = torch.randn(2, 5, 16)
    for layer in added(zero):
        normalised = layer.feedforward_norm(layer.attention_norm(tokens))
        torch.testing.assert_close(layer(tokens), normalised)
    for layer in added(paper):
        assert (
            layer(tokens) - layer.feedforward_norm(layer.attention_norm(tokens))
        ).abs().max() > 0.1
    last = ("attention.out.", "feedforward.outer.")
    for (name, ours), theirs in zip(
        zero.state_dict().items(), paper.state_dict().values(), strict=True
    ):
        new = any(f".{kind}." in name for kind in ("gather", "temporal"))
        if new and any(part in name for part in last):
            assert not ours.any(), name
        else:
            assert torch.equal(ours, theirs), name


def test_layers_that_start_at_zero_learn():
    model = network(InterFrame(memory_tokens=3), added_layers_start="zero").train()
    clip = torch.randint(0, 256, (2, 3, 3, 32, 48)).byte()
    model(clip).mask_logits.square().mean().backward()
    for layer in added(model):
        assert layer.attention.out.weight.grad.abs().max() > 0
        assert layer.feedforward.outer.weight.grad.abs().max() > 0


def test_hidden_memory_is_kept_from_the_decoder_and_still_talks():
    model = network(InterFrame(memory_tokens=3, decoder_sees_memory=False))
    seen: list[torch.Tensor] = []
    model.decoder.register_forward_pre_hook(lambda m, inputs: seen.extend(inputs[:2]))
    with torch.no_grad():
        model(torch.zeros(2, 4, 3, 32, 48))
    assert [x.shape for x in seen] == [(2, 4, 4 * 6, 16)] * 2
    inputs = frames_and_memory(model)
    before, memory = model.communication(*inputs)
    assert memory.shape == (2, 4, 3, 16), "only the decoder leaves them out"
    inputs[0][:, -1] += 1.0
    after, _ = model.communication(*inputs)
    assert (after[:, 0] - before[:, 0]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "communication",
    [
        InterFrame(memory_tokens=3, decoder_sees_memory=False),
        InterFrame(memory_tokens=3, gather_communicate=False),
        InterFrame(memory_tokens=3, memory_std=0.02),
    ],
    ids=str,
)
def test_every_weight_of_an_arm_is_used(communication):
    """Several GPUs wait for every gradient, so a layer that nobody reads must not be there."""
    model = network(communication).train()
    model(torch.randint(0, 256, (2, 3, 3, 32, 48)).byte()).mask_logits.square().mean().backward()
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    # The class head has no part in this loss; its weights are all that may be left.
    assert [name for name in unused if not name.startswith("heads.classify")] == []


def test_without_gather_each_frame_has_memory_of_its_own():
    model = network(InterFrame(memory_tokens=3, gather_communicate=False))
    assert added(model) == []
    inputs = frames_and_memory(model)
    before = model.communication(*inputs)
    inputs[0][:, -1] += 1.0
    after = model.communication(*inputs)
    for ours, theirs in zip(after, before, strict=True):
        assert torch.equal(ours[:, :-1], theirs[:, :-1])
        assert (ours[:, -1] - theirs[:, -1]).abs().max() > 1e-4


def test_small_memory_is_the_same_draw_at_another_size():
    paper, small = (network(InterFrame(memory_tokens=8, memory_std=std)) for std in (None, 0.02))
    for name in ("memory", "memory_positions"):
        torch.testing.assert_close(getattr(small, name), getattr(paper, name) * 0.02 / 0.5)
    weights = small.state_dict()
    assert all(
        torch.equal(weight, weights[name])
        for name, weight in paper.state_dict().items()
        if not name.startswith("memory")
    )
    assert build_model(tiny_model(InterFrame(memory_tokens=0, memory_std=0.02))).memory.numel() == 0
