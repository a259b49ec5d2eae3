"""Peak rates of a device, measured beside a profile: the roof of its roofline."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ifc_bench.config import Arithmetic
from ifc_bench.measuring.speed import DTYPES, repeated, seconds_of
from ifc_bench.records import Rates


def device_rates(device: torch.device, precision: Arithmetic) -> Rates:
    """Measure the peak rates of arithmetic and memory, each the fastest of several tries.

    Arithmetic is one large matrix product or, on a CPU, one large 3x3 convolution if that is
    faster: torch's two libraries may use different instructions. Memory is one large copy between
    existing tensors that are too large for caches.
    """
    large = device.type == "cuda"
    side, numbers = (4096, 1 << 26) if large else (768, 1 << 25)

    def fastest(action: Callable[[], object]) -> float:
        return min(repeated(0.1, lambda: seconds_of(device, action)))

    with torch.inference_mode():
        a = torch.ones(side, side, device=device, dtype=DTYPES[precision])
        rate = side**3 / fastest(lambda: a @ a)
        if not large:
            maps = torch.ones(1, 256, 34, 34, dtype=a.dtype).to(memory_format=torch.channels_last)
            kernels = torch.ones(256, 256, 3, 3, dtype=a.dtype)
            rate = max(rate, 32**2 * 256**2 * 9 / fastest(lambda: F.conv2d(maps, kernels)))
        source, target = (torch.ones(numbers, device=device) for _ in range(2))
        copied = 2 * source.numel() * source.element_size()
        return Rates(
            macs_per_second=rate,
            bytes_per_second=copied / fastest(lambda: target.copy_(source)),
        )
