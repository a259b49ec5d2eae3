"""ImageNet weights in the three formats that people have; nothing that is code is read."""

import pickle

import pytest
import torch
import torchvision

from ifc_bench.config import ResNetBackbone
from ifc_bench.errors import UserError
from ifc_bench.models.imagenet import caffe2_name, detectron2_name, load_imagenet_weights
from ifc_bench.models.resnet import ResNet


@pytest.fixture(scope="module")
def theirs() -> torchvision.models.ResNet:
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def fresh(convention: str = "torchvision") -> ResNet:
    return ResNet(ResNetBackbone.model_validate({"convention": convention})).eval()


def last_map(model: torchvision.models.ResNet, frames: torch.Tensor) -> torch.Tensor:
    x = model.maxpool(model.relu(model.bn1(model.conv1(frames))))
    return model.layer4(model.layer3(model.layer2(model.layer1(x))))


def weights(model: torchvision.models.ResNet) -> dict[str, torch.Tensor]:
    return model.state_dict()


def as_detectron2(state: dict[str, torch.Tensor]) -> dict[str, object]:
    arrays = {detectron2_name(k): v.numpy() for k, v in state.items()}
    return {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}


def as_caffe2(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """Batch norm folded into scale and bias, as MSRA's files have it."""
    folded = {}
    for key, value in state.items():
        if key.endswith("running_mean"):
            stem = key.removesuffix("running_mean")
            scale = state[stem + "weight"] * (state[stem + "running_var"] + 1e-5).rsqrt()
            folded[caffe2_name(stem + "weight")] = scale.numpy()
            folded[caffe2_name(stem + "bias")] = (state[stem + "bias"] - value * scale).numpy()
        elif "bn" not in key and "downsample.1" not in key:
            folded[caffe2_name(key)] = value.numpy()
    return {"blobs": folded}


def test_all_three_formats_give_the_same_maps(theirs, tmp_path):
    state = weights(theirs)
    torch.save(state, tmp_path / "r50.pth")
    for name, content in (("d2.pkl", as_detectron2(state)), ("c2.pkl", as_caffe2(state))):
        (tmp_path / name).write_bytes(pickle.dumps(content))
    frames = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = last_map(theirs, frames)
        for name in ("r50.pth", "d2.pkl", "c2.pkl"):
            model = fresh()
            load_imagenet_weights(model, tmp_path / name)
            torch.testing.assert_close(model(frames)[-1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("key", "detectron2", "caffe2"),
    [
        ("conv1.weight", "stem.conv1.weight", "conv1_w"),
        ("bn1.bias", "stem.conv1.norm.bias", "res_conv1_bn_b"),
        ("layer1.0.conv1.weight", "res2.0.conv1.weight", "res2_0_branch2a_w"),
        ("layer3.22.bn3.weight", "res4.22.conv3.norm.weight", "res4_22_branch2c_bn_s"),
        ("layer2.0.downsample.0.weight", "res3.0.shortcut.weight", "res3_0_branch1_w"),
        ("layer2.0.downsample.1.bias", "res3.0.shortcut.norm.bias", "res3_0_branch1_bn_b"),
    ],
)
def test_names(key, detectron2, caffe2):
    assert detectron2_name(key) == detectron2
    assert caffe2_name(key) == caffe2


def test_the_msra_convention_strides_in_the_first_convolution_and_reads_bgr():
    msra, other = fresh("msra"), fresh()
    assert msra.body.layer2[0].conv1.stride == (2, 2)
    assert msra.body.layer2[0].conv2.stride == (1, 1)
    assert other.body.layer2[0].conv2.stride == (2, 2)
    red = torch.zeros(1, 3, 1, 1)
    red[:, 0] = 255
    values = msra.normalise(red).flatten().tolist()
    assert values == pytest.approx([-103.53, -116.28, 255 - 123.675])
    assert other.normalise(red).flatten()[0].item() == pytest.approx((255 - 123.675) / 58.395)


def test_frozen_stages_are_not_trained():
    model = ResNet(ResNetBackbone(frozen_stages=2))
    trained = {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"layer2", "layer3", "layer4"}


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


BROKEN = {
    "code": ({"model": {"stem.conv1.weight": Evil()}}, "builtins.print is no array"),
    "nothing": ({}, "expected a state dict"),
    "no tensor": ({"a": [1, 2]}, "a: is a list, expected a tensor"),
    "a stranger": ({"fc.weight": torch.zeros(2).numpy()}, "expected ResNet weights"),
    "a part": ({"conv1.weight": torch.zeros(64, 3, 7, 7).numpy()}, r"bn1\.weight: missing"),
    "a shape": ({"conv1.weight": torch.zeros(2).numpy()}, r"conv1\.weight: has shape \[2\]"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_files_get_one_line(content, message, tmp_path, capsys):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        load_imagenet_weights(fresh(), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not capsys.readouterr().out
