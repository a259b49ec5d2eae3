"""Shares of attention that go to memory tokens."""

import pytest
import torch

from ifc_bench.config import InterFrame, NoComm
from ifc_bench.errors import UserError
from ifc_bench.models.attention_share import memory_shares
from ifc_bench.models.build import build_model
from tests.conftest import tiny_model


def network(communication, **changes):
    torch.manual_seed(0)
    return build_model(tiny_model(communication, **changes)).eval()


CLIPS = torch.randint(0, 256, (2, 3, 3, 32, 48), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize("decoder", ["unified", "decomposed"])
def test_attention_that_looks_nowhere_gives_the_share_of_keys(decoder):
    model = network(InterFrame(memory_tokens=3), decoder=decoder)
    layers = [layer.attention for layer in model.communication.spatial]
    layers += [layer.cross_attention for layer in model.decoder.layers]
    with torch.no_grad():
        for attention in layers:
            attention.in_weight[:16] = 0.0  # all queries are zero
    shares = memory_shares(model, CLIPS)
    assert shares.keys == 3 / (24 + 3)
    assert shares.encoder == pytest.approx([shares.keys] * 3)
    assert shares.decoder == pytest.approx([shares.keys] * 3)


@pytest.mark.parametrize("decoder", ["unified", "decomposed"])
def test_attention_to_memory_alone_is_a_share_of_one(decoder):
    """Only memory has the position that every query looks for."""
    model = network(InterFrame(memory_tokens=3), decoder=decoder)
    layers = [layer.attention for layer in model.communication.spatial]
    layers += [layer.cross_attention for layer in model.decoder.layers]
    with torch.no_grad():
        model.memory_positions[:, 0] = 1e4
        for attention in layers:
            attention.in_weight[:16] = 0.0
            attention.in_bias[:16] = 1.0
            attention.in_weight[16:32] = 0.0
            attention.in_weight[16:32, 0] = 1.0
    shares = memory_shares(model, CLIPS)
    assert shares.encoder == pytest.approx([1.0] * 3)
    assert shares.decoder == pytest.approx([1.0] * 3)


def test_a_decoder_that_sees_no_memory_has_no_share():
    shares = memory_shares(network(InterFrame(memory_tokens=3, decoder_sees_memory=False)), CLIPS)
    assert (len(shares.encoder), shares.decoder) == (3, ())


def test_without_memory_there_is_no_share():
    with pytest.raises(UserError, match="no memory tokens"):
        memory_shares(network(NoComm()), CLIPS)
