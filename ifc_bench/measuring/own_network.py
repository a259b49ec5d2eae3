"""A network that a user brings: built, and checked against the protocol of docs/your_network.md.

Errors of the user's code become one line with the source, file and line, as all refusals of a
profile are.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifc_bench.config import COUNTED, OwnNetwork
from ifc_bench.errors import UserError
from ifc_bench.measuring.memory import out_of_memory
from ifc_bench.measuring.scopes import scope_modules
from ifc_bench.models.own_network import FIELD, load_factory

_WANTED = "return (class_probabilities [I, K + 1], mask_logits [I, T, h, w])"
_MOST = 200  # characters of a message of somebody else's


def build_own(own: OwnNetwork, height: int, width: int) -> nn.Module:
    """Build the network for frames of that size, in evaluation mode, with the same random weights.

    Raises:
        UserError: if its module or factory raises, or it is no torch module, or its
            `scope_modules` are not those of a network here.
    """
    with told(own):
        factory = load_factory(own)
        torch.manual_seed(0)
        sized = "frame_size" in inspect.signature(factory).parameters
        network = factory(frame_size=(height, width)) if sized else factory()
    if not isinstance(network, nn.Module):
        raise UserError(
            f"{FIELD}: {own.source} returns a {type(network).__name__}; return a torch.nn.Module"
        )
    _check_scopes(own, network)
    return network.eval()


def lay_out(network: nn.Module, channels_last: bool) -> nn.Module:
    """Set the memory format of its convolutions over images; those over volumes stay."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=layout)
    return network


@torch.inference_mode()
def answer_of(own: OwnNetwork, network: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Run the network on `clip` [T, 3, H, W], uint8 on its device: class probabilities, masks.

    Raises:
        UserError: if it raises, or answers in other shapes or types, or on another device.
    """
    with told(own):
        answer: tuple[Tensor, Tensor] = network(clip)
    refuse_fault(own, answer, clip)
    return answer


def refuse_fault(own: OwnNetwork, answer: object, clip: Tensor) -> None:
    """Refuse an answer in another form than that of the protocol.

    Raises:
        UserError: on other shapes or types, or another device than that of `clip`.
    """
    fault = _fault(answer, clip)
    if fault:
        raise UserError(f"{FIELD}: {own.source}: {fault}; {_WANTED}")


@contextmanager
def told(own: OwnNetwork) -> Iterator[None]:
    """Raise errors of the user's code as a `UserError` with place; lack of memory as it is."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if out_of_memory(error):
            raise
        raise UserError(f"{FIELD}: {own.source}: {_place(error)}{first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The type of an error, and its message in one line."""
    message = " ".join(str(error).split())
    short = message[:_MOST] + "..." * (len(message) > _MOST)
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


def _place(error: BaseException) -> str:
    """File and line of the last call outside torch and this package; empty where there is none."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    ours = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), "<")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(ours):
            return f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}: "
    return ""


def _check_scopes(own: OwnNetwork, network: nn.Module) -> None:
    with told(own):
        parts = {scope: list(modules) for scope, modules in scope_modules(network).items()}
    for scope, modules in parts.items():
        if scope not in COUNTED:
            raise UserError(
                f"{FIELD}: {own.source}: scope_modules has {str(scope)[:40]!r}; the names are "
                f"{', '.join(COUNTED)}"
            )
        if not all(isinstance(module, nn.Module) for module in modules):
            raise UserError(
                f"{FIELD}: {own.source}: scope_modules gives for {scope!r} what is no module; give "
                "a list of torch modules"
            )


def _fault(answer: Any, clip: Tensor) -> str:
    """Say where an answer differs from the protocol; empty where it does not."""
    if not isinstance(answer, tuple | list) or not all(isinstance(x, Tensor) for x in answer):
        return f"forward returns a {type(answer).__name__} that is not two tensors"
    if len(answer) != 2:
        return f"forward returns {len(answer)} tensors, not two"
    probabilities, logits = answer
    frames = len(clip)
    shapes = f"class_probabilities {list(probabilities.shape)}, mask_logits {list(logits.shape)}"
    if probabilities.ndim != 2 or logits.ndim != 4:
        return f"forward returns {shapes}"
    if len(probabilities) != len(logits):
        return f"forward returns {shapes}, of different numbers of instances I"
    if logits.shape[1] != frames or 0 in logits.shape[2:]:
        return f"forward returns {shapes} for a clip of T = {frames} frames"
    for name, tensor in (("class_probabilities", probabilities), ("mask_logits", logits)):
        if not tensor.is_floating_point():
            return f"{name} has type {str(tensor.dtype).removeprefix('torch.')}, not a float"
        if tensor.device.type != clip.device.type:
            return f"{name} is on {tensor.device}, the clip on {clip.device}"
    return ""
