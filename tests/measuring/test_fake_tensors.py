"""Live bytes of fake tensors, compared with the allocator."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.memory import cpu_peaks


def live_peak(function, *shapes: tuple[int, ...]) -> int:
    """Return the peak above the inputs."""
    with FakeTensorMode(), torch.no_grad():
        inputs = [torch.empty(shape) for shape in shapes]
        live = LiveBytes()
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


def convolved(image, weight):
    return torch.nn.functional.conv2d(image, weight, stride=8)


def convolved_channels_last(image, weight):
    return convolved(image, weight.to(memory_format=torch.channels_last))


def test_a_convolution_copies_an_image_in_another_order_than_its_weights():
    shapes, image = ((2, 3, 512, 512), (16, 3, 8, 8)), 2 * 3 * 512 * 512 * 4
    peak = live_peak(convolved_channels_last, *shapes)
    assert peak > image
    assert peak == pytest.approx(real_peak(convolved_channels_last, *shapes), rel=0.02)
    assert live_peak(convolved, *shapes) < image
