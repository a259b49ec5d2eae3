"""ImageNet weights in the three formats that people have; nothing that is code is read."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from ifc_bench.config import ResNetBackbone
from ifc_bench.errors import UserError
from ifc_bench.models.imagenet import (
    caffe2_name,
    detectron2_name,
    load_imagenet_weights,
    read_weights,
)
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


class Called:
    """Pickled as a call of `name` in `module`."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.called = (module, name, arguments)

    def pickled(self) -> bytes:
        module, name, arguments = self.called
        return b"c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, 0)[:-1] + b"R."


BROKEN = {
    "code": ({"model": {"stem.conv1.weight": Evil()}}, "builtins.print is not an array"),
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


NO_WEIGHTS = {
    "empty": (b"", "not a file of tensors only"),
    "text": (b"these are no weights\n", "not a file of tensors only"),
    "a call": (Called("os", "system", "touch ran").pickled(), "os.system is not an array"),
    "an array by name": (Called("numpy", "ndarray", (10**12,)).pickled(), "not a file of tensors"),
    "an array without bytes": (
        Called("numpy.core.multiarray", "_reconstruct", 0, (10**12,), b"f").pickled(),
        "expected a state dict",
    ),
    "an index far away": (b"\x80\x02}r\xff\xff\xff\xff.", "top level: expected a state dict"),
    "a long number": (b"I" + b"9" * 5000 + b"\n.", "not a file of tensors only"),
    "deep": (b"(" * 10 + b"]" * 10 + b".", "top level: expected a state dict"),
}


@pytest.mark.parametrize(("content", "message"), NO_WEIGHTS.values(), ids=NO_WEIGHTS.keys())
def test_a_pickle_that_holds_no_weights_is_one_line(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 250 + len(str(path))
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pkl"]


def test_arrays_that_torch_does_not_have_are_named(tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"w": np.zeros(2, np.longdouble)}))
    with pytest.raises(UserError, match="w: has float128, which torch does not support"):
        read_weights(path)
    path.write_bytes(pickle.dumps({"w": np.array([1.5, 2.5], ">f4")}))
    assert read_weights(path)["w"].tolist() == [1.5, 2.5], "of another byte order"


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
def test_a_torch_file_that_holds_no_weights_is_one_line(legacy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    for content, message in (
        ({"model": Evil()}, r"Unsupported (global|class)|builtins\.print"),
        ({"w": torch.zeros(1).expand(10**6, 10**6)}, "but the file has only 4 bytes for it"),
        ({"w": torch.eye(2).to_sparse()}, "w: is sparse"),
        ({}, "expected a state dict"),
    ):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match=message) as caught:
            read_weights(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 250 + len(str(path))
    told = capsys.readouterr()
    assert not told.out
    assert not told.err


def zipped(path: Path, method: int, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)


def test_a_zip_that_torch_did_not_write_is_one_line(theirs, tmp_path):
    path = tmp_path / "weights.pth"
    zipped(path, zipfile.ZIP_STORED, readme=b"no weights")
    with pytest.raises(UserError, match="not a file of tensors only"):
        read_weights(path)
    zipped(path, zipfile.ZIP_DEFLATED, data=bytes(10**8))
    assert path.stat().st_size < 200_000
    with pytest.raises(UserError, match="is compressed, which"):
        read_weights(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(path)


def test_one_flipped_bit_of_a_weight_is_noticed(theirs, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(weights(theirs), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pth: .*the checksum of .* is wrong"):
        load_imagenet_weights(fresh(), path)


def test_weights_that_are_not_finite_are_refused(theirs, tmp_path):
    path = tmp_path / "weights.pth"
    state = weights(theirs) | {"bn1.bias": torch.full((64,), torch.inf)}
    torch.save(state, path)
    with pytest.raises(UserError, match=r"bn1\.bias: has numbers that are not finite"):
        load_imagenet_weights(fresh(), path)
