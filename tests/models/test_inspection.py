"""What memory tokens attend to, and the parts of the network with their shapes."""

import numpy as np
import pytest
import torch

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, ModelConfig, NoComm
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.inspection import (
    foreground_share,
    memory_attention,
    parts,
    predicted_foreground,
)
from ifc_bench.pictures.diagram import diagram
from tests.conftest import one_line_error, run_cli, tiny_model

CLIP = torch.arange(3 * 3 * 32 * 48).reshape(3, 3, 32, 48) % 251


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(tiny_model(InterFrame(memory_tokens=3))).eval()


def test_attention_is_that_of_the_layer(model):
    """By torch's own attention, on what goes into the first layer."""
    tokens = model.project(model.features(CLIP)[-1]).flatten(2).transpose(1, 2)
    found = memory_attention(model, CLIP, block=0)
    assert found.shape == (3, 3, 4, 6)
    torch.testing.assert_close(found.sum((2, 3)), torch.ones(3, 3))

    layer = model.communication.spatial[0].attention
    other = torch.nn.MultiheadAttention(16, layer.heads, batch_first=True)
    other.in_proj_weight.data, other.in_proj_bias.data = layer.in_weight.data, layer.in_bias.data
    from ifc_bench.models.position import sine_positions

    places = sine_positions(torch.ones(1, 4, 6, dtype=torch.bool), 16).expand(3, -1, -1)
    placed = torch.cat(
        (tokens + places, (model.memory + model.memory_positions).expand(3, -1, -1)), 1
    )
    _, weights = other(placed, placed, placed, average_attn_weights=True)
    wanted = weights[:, -3:, :-3]
    wanted = wanted / wanted.sum(-1, keepdim=True)
    torch.testing.assert_close(found.flatten(2), wanted)


def test_the_last_layer_is_the_default(model):
    last = memory_attention(model, CLIP)
    torch.testing.assert_close(last, memory_attention(model, CLIP, block=2))
    assert not torch.allclose(last, memory_attention(model, CLIP, block=0))


def test_there_is_no_attention_without_memory_tokens(model):
    with pytest.raises(UserError, match="no memory tokens"):
        memory_attention(build_model(tiny_model(NoComm())), CLIP)
    with pytest.raises(UserError, match="--block: 3 does not exist; the 3 layers"):
        memory_attention(model, CLIP, block=3)


def test_the_share_on_instances_is_that_of_the_area_where_attention_is_even():
    instances = torch.zeros(2, 32, 48, dtype=torch.bool)
    instances[:, :16, :12] = True
    even = torch.full((2, 1, 4, 6), 1 / 24)
    inside = torch.zeros(2, 1, 4, 6)
    inside[:, :, 0, 0] = 1
    share = foreground_share(torch.cat((even, inside), 1), instances)
    torch.testing.assert_close(share, torch.tensor([1 / 8, 1.0]))


def test_predicted_instances_stand_at_the_mask_stride(model):
    assert predicted_foreground(model, CLIP).shape == (3, 8, 12)
    assert not predicted_foreground(model, CLIP, threshold=1.0).any()


@pytest.mark.parametrize(
    ("communication", "layers"),
    [
        (NoComm(), ["within frames"] * 3),
        (FullTHW(), ["over all frames"] * 3),
        (DecompTHW(), ["within frames"] * 3 + ["across frames"] * 2),
        (InterFrame(), ["Encode-Receive"] * 3 + ["Gather-Communicate"] * 3),
        (InterFrame(memory_tokens=0), ["within frames"] * 3),
    ],
    ids=str,
)
def test_parts_are_all_of_the_network(communication, layers):
    model = ModelConfig(communication=communication)
    found = parts(model, 5, 360, 640)
    assert sorted(p.name for p in found if p.block is not None) == sorted(layers)
    with torch.device("meta"):
        everything = sum(p.numel() for p in build_model(model).parameters())
    assert sum(part.parameters for part in found) == everything
    shapes = {part.name: part.shape for part in found}
    assert shapes["decoder"] == (1, 100, 256)
    assert shapes["spatial decoder"] == (5, 256, 45, 80)
    drawn = diagram(found, (5, 360, 640), "network")
    names = [text.get_text() for text in drawn.axes[0].texts]
    assert [name for name in names if name in layers]
    assert "masks (product)" in names
    drawn.canvas.draw()
    assert np.asarray(drawn.canvas.buffer_rgba()).std() > 5


def test_the_commands(data_folder, tmp_path):
    done = run_cli("diagram", f"--out={tmp_path / 'network.png'}")
    assert done.returncode == 0, done.stderr
    assert "39,148,009 parameters" in done.stdout, "the released network's"
    assert (tmp_path / "network.png").stat().st_size > 5_000
    done = run_cli(
        "attention", "--training=none", f"--data={data_folder / 'valid'}", "--video=1",
        f"--out={tmp_path / 'a.png'}", f"--results={tmp_path}",
    )  # fmt: skip
    assert "--training: 'none' has no record" in one_line_error(done)
