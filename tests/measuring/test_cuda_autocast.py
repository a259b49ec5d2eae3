"""CUDA's lists of autocast on CPU tensors, compared with torch's own on fake CUDA tensors."""

import contextlib

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.config import DecompTHW, FullTHW, InterFrame
from ifc_bench.measuring.cuda_autocast import (
    HALF,
    SINGLE,
    SINGLE_RESULT,
    WIDEST,
    cuda_autocast,
    listed,
)
from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.models.build import build_model
from tests.conftest import tiny_model

LISTS = {*HALF, *SINGLE, *SINGLE_RESULT, *WIDEST}
OTHERS = {  # kernels of CUDA alone, which this package does not call
    "_cudnn_rnn", "cudnn_convolution", "cudnn_convolution_transpose",
}  # fmt: skip
TYPES = [torch.float16, torch.bfloat16]


@contextlib.contextmanager
def torchs_own(dtype: torch.dtype):
    """Enable CUDA's autocast, which `torch.autocast` does not where no GPU is."""
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_enabled("cuda", True)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


def test_the_lists_are_the_installed_torchs():
    every = torch._C._dispatch_get_all_op_names()
    names = [name.removeprefix("aten::") for name in every if name.startswith("aten::")]
    on_cuda = {name for name in names if listed(name, "AutocastCUDA")}
    only = {name for name in on_cuda if not listed(name, "AutocastCPU")}
    assert len(LISTS) == len(HALF) + len(SINGLE) + len(SINGLE_RESULT) + len(WIDEST)
    assert only - OTHERS <= LISTS, "operations that CUDA lists and this file does not"
    assert on_cuda >= LISTS, "operations that this file lists and CUDA does not"


def call(name: str, x: torch.Tensor, single: torch.Tensor) -> torch.Tensor:
    calls = {
        "softmax": lambda: x.softmax(-1),
        "log_softmax": lambda: x.log_softmax(-1),
        "softmax to a type": lambda: x.softmax(-1, dtype=torch.bfloat16),
        "float64 stays": lambda: x.double().softmax(-1),
        "integers stay": lambda: x.to(torch.int64).cumsum(0),
        "layer norm": lambda: nn.functional.layer_norm(x, (8,), single[0], single[0]),
        "group norm": lambda: nn.functional.group_norm(x[None], 4),
        "sum": lambda: x.sum(),
        "sum over rows": lambda: x.sum(1),
        "cumsum": lambda: x.cumsum(0),
        "power": lambda: x**2,
        "exp": lambda: x.exp(),
        "norm": lambda: torch.linalg.vector_norm(x),
        "resize": lambda: nn.functional.interpolate(x[None, None], scale_factor=2),
        "bilinear": lambda: nn.functional.interpolate(x[None, None], (4, 4), mode="bilinear"),
        "sigmoid": lambda: x.sigmoid(),
        "product": lambda: single @ single,
        "linear": lambda: nn.functional.linear(single, single),
        "vector": lambda: torch.mv(single, single[0]),
        "addcmul": lambda: torch.addcmul(x, x, single),
        "addition": lambda: x + single,
        "cat": lambda: torch.cat((x, single)),
    }  # fmt: skip
    return calls[name]()


CALLS = [
    "softmax", "log_softmax", "softmax to a type", "float64 stays", "integers stay", "layer norm",
    "group norm", "sum", "sum over rows", "cumsum", "power", "exp", "norm", "resize", "bilinear",
    "sigmoid", "product", "linear", "vector", "addcmul", "addition", "cat",
]  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_an_operation_gives_the_type_that_cuda_gives(name, dtype):
    found = []
    for device, context in (("cpu", cuda_autocast(dtype)), ("cuda", torchs_own(dtype))):
        with FakeTensorMode(), context:
            x = torch.zeros(8, 8, device=device, dtype=dtype)
            found.append(call(name, x, torch.zeros(8, 8, device=device)).dtype)
    # Fake CUDA tensors resize by torch's Python code once another test has imported that, and then
    # without autocast; CUDA's list has upsample_bilinear2d among those in float32.
    assert found[0] == (torch.float32 if name == "bilinear" else found[1])


def test_real_tensors_are_cast_alike_and_the_cpus_list_is_back_afterwards():
    x = torch.randn(4, 4).bfloat16()
    with cuda_autocast(torch.bfloat16):
        assert x.softmax(-1).dtype == torch.float32
        torch.testing.assert_close(x.softmax(-1), x.float().softmax(-1))
    with torch.autocast("cpu", torch.bfloat16):
        assert x.softmax(-1).dtype == torch.bfloat16
        assert not listed("softmax.int", "AutocastCPU")


class OnCuda(LiveBytes):
    """Counts CUDA's tensors; frames come from the host."""

    def hold(self, tensor):
        if tensor.device.type == "cuda":
            super().hold(tensor)


def clip_peak(model, dtype, device: str, train: bool) -> tuple[int, int]:
    """Peak of a forward pass, and what is live after it: in training, what backward needs."""
    with FakeTensorMode():
        with torch.device(device):
            network = build_model(model).train(train)
        for module in network.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, buffer.to(device))
        live = LiveBytes() if device == "cpu" else OnCuda()
        clip = torch.zeros(1, 4, 3, 32, 48, dtype=torch.uint8, device=device)
        context = cuda_autocast(dtype) if device == "cpu" else torchs_own(dtype)
        with live, torch.set_grad_enabled(train), context:
            prediction = network(clip)
            kept = live.live
            del prediction
    return live.peak.bytes, kept


@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("talk", [FullTHW(), DecompTHW(), InterFrame(memory_tokens=2)])
def test_a_network_takes_to_the_byte_what_it_takes_by_cudas_own_autocast(talk, dtype, train):
    """Also what training keeps for backward, and the cache of half-precision weights."""
    model = tiny_model(talk)
    ours, theirs = (clip_peak(model, dtype, device, train) for device in ("cpu", "cuda"))
    assert ours == theirs


def test_an_attention_module_of_torch_runs_too():
    """Its operations are called from within a function of torch, not by the network."""
    with FakeTensorMode(), torch.no_grad(), cuda_autocast(torch.float16):
        module, x = nn.MultiheadAttention(16, 2, batch_first=True), torch.zeros(1, 5, 16)
        mixed, weights = module(x, x, x)
        assert mixed.dtype == torch.float16
        assert weights.dtype == torch.float32
