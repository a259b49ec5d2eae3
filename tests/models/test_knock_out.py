"""Communication taken away from a network with the same weights."""

import pytest
import torch

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, NoComm
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.knock_out import isolated, memory_swapped
from tests.conftest import tiny_model

SILENT = [NoComm(), InterFrame(memory_tokens=0), InterFrame(gather_communicate=False)]
TALKING = [
    FullTHW(),
    DecompTHW(),
    InterFrame(memory_tokens=3),
    InterFrame(memory_tokens=3, grouping="unified"),
    InterFrame(memory_tokens=3, decoder_sees_memory=False),
]


def network(communication) -> IFC:
    torch.manual_seed(0)
    return build_model(tiny_model(communication)).eval()


def clips(count: int = 2, frames: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, frames, 3, 32, 48), generator=generator).byte()


@torch.no_grad()
def masks(model: IFC, frames: torch.Tensor) -> torch.Tensor:
    return model(frames).mask_logits


@pytest.mark.parametrize("communication", SILENT, ids=str)
def test_isolation_changes_nothing_where_frames_do_not_communicate(communication):
    model, frames = network(communication), clips()
    whole = masks(model, frames)
    with isolated(model):
        torch.testing.assert_close(masks(model, frames), whole)


@pytest.mark.parametrize("communication", TALKING, ids=str)
def test_isolation_changes_what_communicates(communication):
    model, frames = network(communication), clips()
    whole = masks(model, frames)
    with isolated(model):
        alone = masks(model, frames)
        one = masks(model, frames[:, :1])
    assert alone.shape == whole.shape
    assert (alone - whole).abs().max() > 1e-4
    assert torch.equal(masks(model, frames), whole), "the network is whole again"
    torch.testing.assert_close(one, masks(model, frames[:, :1]), msg="T = 1 is isolated anyway")


@pytest.mark.parametrize("communication", [NoComm(), *TALKING], ids=str)
def test_isolated_tokens_do_not_depend_on_other_frames(communication):
    """The communication module alone: the decoder sees all frames, and may."""
    model = network(communication)
    seen: list[torch.Tensor] = []
    with isolated(model):
        handle = model.communication.register_forward_hook(lambda m, i, o: seen.append(o[0]))
        frames = clips()
        masks(model, frames)
        masks(model, torch.cat((frames[:, :1], 255 - frames[:, 1:]), 1))
        handle.remove()
    torch.testing.assert_close(seen[0][:, 0], seen[1][:, 0])
    assert (seen[0][:, 1] - seen[1][:, 1]).abs().max() > 1e-4


@pytest.mark.parametrize("padded", [False, True])
def test_isolation_takes_padding_along(padded):
    model, frames = network(NoComm()), clips()
    sizes = torch.tensor([[32, 32], [24, 48]]) if padded else None
    with torch.no_grad():
        whole = model(frames, sizes).mask_logits
        with isolated(model):
            torch.testing.assert_close(model(frames, sizes).mask_logits, whole)


def test_a_failure_within_leaves_the_network_whole():
    model, frames = network(InterFrame(memory_tokens=3)), clips()
    whole = masks(model, frames)
    for how in (isolated, memory_swapped):
        with pytest.raises(ZeroDivisionError), how(model):
            raise ZeroDivisionError
        assert torch.equal(masks(model, frames), whole)


@pytest.mark.parametrize(
    "communication", [*TALKING[2:], InterFrame(gather_communicate=False)], ids=str
)
def test_swapped_memory_is_that_of_the_clip_before(communication):
    model, frames = network(communication), clips(3)
    whole = masks(model, frames)
    with memory_swapped(model):
        swapped = masks(model, frames)
        alone = masks(model, frames[:1])
        same = masks(model, frames[:1].expand(3, -1, -1, -1, -1))
    assert (swapped - whole).abs().amax((1, 2, 3, 4)).min() > 1e-5
    torch.testing.assert_close(alone, whole[:1], msg="a clip alone keeps its memory")
    torch.testing.assert_close(same[1:], whole[:1].expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("communication", [NoComm(), FullTHW(), DecompTHW()], ids=str)
def test_without_memory_nothing_is_swapped(communication):
    model, frames = network(communication), clips(3)
    whole = masks(model, frames)
    with memory_swapped(model):
        assert torch.equal(masks(model, frames), whole)
