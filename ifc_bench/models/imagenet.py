"""Loads ImageNet ResNet weights into a backbone: torchvision's, detectron2's and MSRA's files.

| file | written by | keys |
|---|---|---|
| `.pth` | torchvision | `layer1.0.conv1.weight`, `layer1.0.bn1.running_mean` |
| `.pkl` | detectron2 (`torchvision/R-50.pkl`) | `res2.0.conv1.weight`, `res2.0.conv1.norm.weight` |
| `.pkl` | Caffe2 (`MSRA/R-101.pkl`) | `res2_0_branch2a_w`, `res2_0_branch2a_bn_s` |

A `.pkl` is read by an unpickler that creates only arrays and plain containers. Only dense tensors
that are completely in the file are read, so that a file cannot request more memory than its size.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifc_bench.errors import UserError
from ifc_bench.models.tensor_file import DamagedError, read_tensors, tensor_fault

if TYPE_CHECKING:
    from ifc_bench.models.resnet import ResNet

_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)")
_STEM = re.compile(r"(conv|bn)1\.(\w+)")
_CAFFE2_SUFFIX = {"weight": "s", "bias": "b"}
_ARRAY_PARTS = {
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}


def detectron2_name(key: str) -> str:
    """Return detectron2's name of a parameter of torchvision's ResNet."""
    if block := _BLOCK.fullmatch(key):
        stage, index, part, number, leaf = block.groups()
        prefix = f"res{int(stage) + 1}.{index}."
        if part == "downsample.":
            return prefix + ("shortcut." if number == "0" else "shortcut.norm.") + leaf
        return f"{prefix}conv{number}.{'norm.' if part == 'bn' else ''}{leaf}"
    if stem := _STEM.fullmatch(key):
        return f"stem.conv1.{'norm.' if stem[1] == 'bn' else ''}{stem[2]}"
    return f"stem.{key}"


def caffe2_name(key: str) -> str:
    """Return Caffe2's name of a torchvision ResNet parameter; batch norm is only scale and bias."""
    if block := _BLOCK.fullmatch(key):
        stage, index, part, number, leaf = block.groups()
        shortcut = part == "downsample."
        branch = "branch1" if shortcut else f"branch2{'abc'[int(number) - 1]}"
        norm = part == "bn" or (shortcut and number == "1")
        return f"res{int(stage) + 1}_{index}_{branch}" + _caffe2_leaf(norm, leaf)
    if stem := _STEM.fullmatch(key):
        return ("res_conv1" if stem[1] == "bn" else "conv1") + _caffe2_leaf(
            stem[1] == "bn", stem[2]
        )
    return key


def _caffe2_leaf(norm: bool, leaf: str) -> str:
    return f"_bn_{_CAFFE2_SUFFIX.get(leaf, leaf)}" if norm else "_w"


def load_imagenet_weights(backbone: ResNet, path: Path) -> None:
    """Load a file of torchvision, detectron2 or MSRA into `backbone`.

    Raises:
        UserError: if a key is missing or of another shape, or the file has none of these formats.
    """
    weights = read_weights(path)
    expected = backbone.body.state_dict()
    name = _naming(weights, path)
    folded = name is caffe2_name  # identity statistics; the forward pass adds the epsilon again
    filled = {}
    for key, tensor in expected.items():
        if folded and key.endswith("running_mean"):
            filled[key] = torch.zeros_like(tensor)
        elif folded and key.endswith("running_var"):
            filled[key] = torch.ones_like(tensor) - 1e-5
        else:
            filled[key] = fitting(weights, name(key), tensor, path)
    backbone.body.load_state_dict(filled)


def fitting(weights: Mapping[str, Tensor], key: str, wanted: Tensor, where: object) -> Tensor:
    """Return `weights[key]`, which must exist, be finite, and have the shape of `wanted`.

    Raises:
        UserError: if it does not.
    """
    if key not in weights:
        raise UserError(f"{where}: {key}: missing; the file has no entry for it")
    found = weights[key]
    if found.shape != wanted.shape:
        raise UserError(
            f"{where}: {key}: has shape {list(found.shape)}, the model needs {list(wanted.shape)}"
        )
    if not found.is_floating_point():
        raise UserError(f"{where}: {key}: has {found.dtype}, expected floating-point weights")
    found = found.to(wanted.dtype)
    if not torch.isfinite(found).all():
        raise UserError(f"{where}: {key}: has numbers that are not finite; the file is damaged")
    return found


def _naming(weights: Mapping[str, Tensor], path: Path) -> Callable[[str], str]:
    for mark, name in (
        ("conv1.weight", str),
        ("stem.conv1.weight", detectron2_name),
        ("conv1_w", caffe2_name),
    ):
        if mark in weights:
            return name
    raise UserError(
        f"{path}: has none of conv1.weight, stem.conv1.weight and conv1_w; expected ResNet weights "
        "of torchvision, detectron2 or MSRA"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a `.pth` or `.pkl` file, by name; a file with code is refused.

    Raises:
        UserError: if the file is missing, damaged or contains anything but arrays.
    """
    try:
        if Path(path).suffix == ".pkl":
            with Path(path).open("rb") as file:
                content = _ArrayUnpickler(file, encoding="latin1").load()
        else:
            content = read_tensors(Path(path))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:
        reason = "" if isinstance(error, DamagedError) else f"{type(error).__name__}: "
        reason += " ".join(str(error).split())[:100]
        raise UserError(
            f"{path}: not a file of tensors only, or damaged ({reason}); download it again: only "
            "tensors are read"
        ) from error
    return tensors(content, path)


def tensors(content: Any, path: object) -> dict[str, Tensor]:
    """Return the state dict in `content`, at the top level or under "model" or "blobs".

    Raises:
        UserError: if there is no state dict, or an entry is not a dense tensor with all its data.
    """
    for key in ("model", "blobs"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: top level: expected a state dict, or one under 'model'")
    found = {}
    for key, value in content.items():
        if not isinstance(key, str):
            raise UserError(f"{path}: key {str(key)[:60]}: is not a parameter name")
        tensor = _tensor(value, f"{path}: {key[:60]}")
        if tensor is not None:
            found[key] = tensor
    if not found:
        raise UserError(f"{path}: has no tensor; expected a state dict, or one under 'model'")
    return found


def _tensor(value: object, where: str) -> Tensor | None:
    """Convert an entry of the state dict to a tensor; None for a number or a string."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = _from_array(value, where)
    if isinstance(value, Tensor):
        if fault := tensor_fault(value):
            raise UserError(f"{where}: {fault}")
        return value.detach()
    if not isinstance(value, (int, float, str)):
        raise UserError(f"{where}: is a {type(value).__name__}, expected a tensor")
    return None


def _from_array(array: NDArray[Any], where: str) -> Tensor:
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except TypeError:
        raise UserError(f"{where}: has {array.dtype}, which torch does not support") from None


class _ArrayUnpickler(pickle._Unpickler):
    """Creates numpy arrays and plain containers; refuses everything else.

    Based on the Python implementation: the C one allocates memory for any index in a file.
    """

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return name  # every array names its class, which is never called
        if (module, name) in _ARRAY_PARTS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module[:30]}.{name[:30]} is not an array")


def _empty_array(kind: object, shape: object, code: object) -> NDArray[Any]:
    """Create an empty array; its state sets the size later, together with the data."""
    return np.empty(0, np.int8)
