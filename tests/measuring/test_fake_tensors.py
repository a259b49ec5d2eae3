"""Bytes that are alive, followed through fake tensors, against the allocator."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.memory import cpu_peaks


def live_peak(function, *shapes: tuple[int, ...], threads: int | None = 1) -> int:
    """Peak above the inputs."""
    with FakeTensorMode(), torch.no_grad():
        inputs = [torch.empty(shape) for shape in shapes]
        live = LiveBytes(threads)
        for tensor in inputs:
            live.hold(tensor)
        held = live.live
        with live:
            function(*inputs)
    return live.peak.bytes - held


def real_peak(function, *shapes: tuple[int, ...]) -> int:
    inputs = [torch.randn(shape) for shape in shapes]
    with torch.no_grad():
        return max(cpu_peaks(torch.device("cpu"), lambda watch: function(*inputs))[1].values())


def chain(x):
    y = x + 1
    z = y * 2
    del y
    return (z.transpose(0, 1)[0] @ z).softmax(-1)


def test_a_chain_of_operations():
    assert live_peak(chain, (64, 64)) == pytest.approx(real_peak(chain, (64, 64)), abs=64)


def test_views_hold_nothing_of_their_own_and_inputs_count_once():
    with FakeTensorMode():
        x = torch.empty(100)
        live = LiveBytes()
        live.hold(x)
        live.hold(x)
        with live:
            y = x[10:].view(9, 10)
            assert live.live == 400
            z = y + 1
            assert live.live == 760
            del z
        assert live.live == 400
        assert live.peak.bytes == 760
        assert live.peak.at == "aten::add"


CONVOLUTIONS = [  # batch, channels in, out, kernel, height, width, stride, groups
    (1, 3, 64, 7, 96, 160, 2, 1),
    (5, 64, 64, 1, 24, 40, 1, 1),
    (20, 64, 256, 1, 24, 40, 1, 1),
    (20, 256, 64, 1, 24, 40, 1, 1),
    (5, 64, 64, 3, 24, 40, 1, 1),
    (5, 256, 512, 1, 24, 40, 2, 1),
    (1, 512, 512, 3, 3, 5, 1, 1),
    (20, 512, 2048, 1, 3, 5, 1, 1),
    (5, 256, 256, 5, 12, 20, 1, 256),
]


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="the rule is that of oneDNN's kernels for AVX-512; other processors block otherwise",
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_the_copies_of_onednns_convolutions(case, layout):
    batch, channels, out, kernel, height, width, stride, groups = case

    def convolve(x, weight):
        x, weight = x.to(memory_format=layout), weight.to(memory_format=layout)
        return F.conv2d(x, weight, stride=stride, padding=kernel // 2, groups=groups)

    shapes = (batch, channels, height, width), (out, channels // groups, kernel, kernel)
    expected, measured = live_peak(convolve, *shapes), real_peak(convolve, *shapes)
    assert expected == pytest.approx(measured, rel=0.02)
