"""The whole network: contracts of inputs and outputs."""

import pytest
import torch

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, ModelConfig, NoComm, ResNetBackbone
from ifc_bench.errors import UserError
from ifc_bench.models.attention import require_kernel
from ifc_bench.models.build import build_backbone, build_model
from tests.conftest import tiny_model

CPU, F32 = torch.device("cpu"), torch.float32


def clip(frames: int = 3, height: int = 32, width: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, frames, 3, height, width), generator=generator).byte()


def model_of(config: ModelConfig):
    torch.manual_seed(0)
    return build_model(config).eval()


@pytest.mark.parametrize("decoder", ["unified", "decomposed"])
@pytest.mark.parametrize(
    "communication", [NoComm(), FullTHW(), DecompTHW(), InterFrame(memory_tokens=0), InterFrame()]
)
@pytest.mark.parametrize("frames", [1, 3])
def test_prediction_has_the_documented_shapes(communication, decoder, frames):
    model = model_of(tiny_model(communication, decoder=decoder))
    with torch.no_grad():
        prediction = model(clip(frames))
    assert prediction.class_logits.shape == (2, 6, 4)
    assert prediction.mask_logits.shape == (2, 6, frames, 8, 12)
    assert prediction.auxiliary == []
    assert len(model.train()(clip(frames)).auxiliary) == 2


def test_bytes_and_floats_in_0_255_are_the_same_input():
    model = model_of(tiny_model())
    with torch.no_grad():
        a, b = model(clip()), model(clip().double())
    torch.testing.assert_close(a.mask_logits, b.mask_logits)


def test_features_then_decode_is_forward():
    model = model_of(tiny_model())
    frames = clip()
    with torch.no_grad():
        whole = model(frames)
        maps = [m.unflatten(0, (2, 3)) for m in model.features(frames.flatten(0, 1))]
        parts = model.decode(maps)
    torch.testing.assert_close(whole.mask_logits, parts.mask_logits)


def test_decoders_agree_on_a_single_frame():
    """With T = 1 the decomposed decoder joins one embedding: the same function."""
    unified = model_of(tiny_model())
    decomposed = model_of(tiny_model(decoder="decomposed"))
    missing = decomposed.load_state_dict(unified.state_dict(), strict=False).missing_keys
    assert all("frame_score" in key for key in missing)
    with torch.no_grad():
        a, b = unified(clip(1)), decomposed(clip(1))
        c, d = unified(clip(3)), decomposed(clip(3))
    torch.testing.assert_close(a.class_logits, b.class_logits)
    assert (c.class_logits - d.class_logits).abs().max() > 1e-5


@pytest.mark.parametrize("communication", [NoComm(), FullTHW(), DecompTHW(), InterFrame()])
def test_padding_a_clip_leaves_its_masks_alone(communication):
    """What stands in the padding does not matter."""
    model = model_of(tiny_model(communication))
    small = clip(2, 32, 32)
    padded = torch.zeros(2, 2, 3, 32, 48, dtype=torch.uint8)
    padded[..., :32] = small
    sizes = torch.tensor([[32, 32], [32, 32]])
    padded_noise = padded.clone()
    padded_noise[..., 32:] = 255
    with torch.no_grad():
        a = model(padded, sizes)
        b = model(padded_noise, sizes)
    torch.testing.assert_close(a.mask_logits, b.mask_logits)
    torch.testing.assert_close(a.class_logits, b.class_logits)


@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_fused_attention_equals_materialised(kernel):
    require_kernel(kernel, CPU, F32)
    reference = model_of(tiny_model())
    fused = model_of(tiny_model(attention=kernel))
    with torch.no_grad():
        a, b = reference(clip()), fused(clip())
    torch.testing.assert_close(a.mask_logits, b.mask_logits, atol=1e-4, rtol=1e-4)


def test_attention_that_is_not_there_is_an_error():
    with pytest.raises(UserError, match=r"attention: 'efficient' is not available on cpu"):
        model_of(tiny_model(attention="efficient"))(clip())


@pytest.mark.parametrize(("depth", "last"), [(18, 512), (50, 2048), (101, 2048)])
def test_resnets_give_three_strides(depth, last):
    backbone = build_backbone(ResNetBackbone(depth=depth))
    maps = backbone(torch.zeros(1, 3, 90, 150))
    assert [m.shape[-2:] for m in maps] == [(12, 19), (6, 10), (3, 5)]
    assert maps[-1].shape[1] == last == backbone.channels[-1]
    norms = [m for m in backbone.modules() if "BatchNorm" in type(m).__name__]
    assert norms
    assert not [p for norm in norms for p in norm.parameters()]


def test_defaults_are_the_papers():
    model = build_model(ModelConfig())
    assert model.memory.shape == (8, 256)
    assert model.decoder.query_positions.shape == (100, 256)
    with torch.no_grad():
        prediction = model.eval()(torch.zeros(1, 2, 3, 64, 96))
    assert prediction.mask_logits.shape == (1, 100, 2, 8, 12)
    assert prediction.class_logits.shape == (1, 100, 41)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_stride": 8}, "model.mask_stride: 8"),
        ({"norm_groups": 5}, "model.norm_groups = 5"),
        ({"heads": 3}, "model.heads = 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        build_model(tiny_model(**changes))
