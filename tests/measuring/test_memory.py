"""Peak memory by scope: measured on the CPU, and on a GPU with a fake allocator."""

from contextlib import contextmanager

import pytest
import torch

from ifc_bench.measuring import memory
from ifc_bench.measuring.memory import asked_bytes, cpu_peaks, out_of_memory

CPU = torch.device("cpu")
MEGA = 1 << 20


def megabytes(count: int) -> torch.Tensor:
    return torch.zeros(count * MEGA // 4)


def test_peaks_by_scope_on_a_cpu():
    def action(watch):
        kept = megabytes(1)
        with watch("encoder"):
            megabytes(4)  # freed at once
            with watch("output"):
                also = megabytes(2)
        with watch("decoder"):
            del kept, also
            megabytes(8)

    held, peaks = cpu_peaks(CPU, action)
    assert held == 0
    assert {k: v // MEGA for k, v in peaks.items()} == {
        "other": 3,
        "encoder": 5,
        "output": 3,
        "decoder": 8,
    }


class FakeAllocator:
    """Counts bytes as torch's CUDA allocator does."""

    def __init__(self, monkeypatch, held):
        self.now = self.peak = held
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: self.now)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda d: self.peak)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)

    def reset(self, device):
        self.peak = self.now

    @contextmanager
    def having(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)
        yield
        self.now -= size


def test_peaks_by_scope_on_a_gpu(monkeypatch):
    allocator = FakeAllocator(monkeypatch, held=100)

    def action(watch):
        with allocator.having(10):
            with watch("encoder"), allocator.having(50):
                pass
            with watch("decoder"), allocator.having(5):
                pass
        with watch("encoder"), allocator.having(20):
            pass

    held, peaks = memory._cuda_peaks(torch.device("cuda:0"), action)
    assert held == 100
    assert peaks == {"encoder": 60, "decoder": 15, "other": 10}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has", int(2.25 * 2**30)),
        ("CUDA out of memory. Tried to allocate 512.00 MiB.", 512 << 20),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.", 4096),
        ("something else", None),
    ],
)
def test_the_requested_size(text, size):
    assert asked_bytes(RuntimeError(text)) == size


def test_out_of_memory_is_distinguished_from_other_errors():
    assert out_of_memory(torch.OutOfMemoryError("x"))
    assert out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert asked_bytes(caught.value) == 1 << 60
