"""Peak memory by scope: measured on the CPU, and on a GPU with a fake allocator."""

from contextlib import contextmanager

import pytest
import torch

from ifc_bench.measuring import memory
from ifc_bench.measuring.memory import asked_bytes, cpu_peaks, out_of_memory
from ifc_bench.measuring.speed import Subject

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
    """Counts bytes as torch's CUDA allocator does; what was freed stays in its cache."""

    def __init__(self, monkeypatch, held, cached=0):
        self.now = self.peak = held
        self.reserved = self.most_reserved = held + cached
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: self.now)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda d: self.peak)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda d: self.most_reserved)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)
        monkeypatch.setattr(torch.cuda, "empty_cache", self.empty)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda d: None)

    def reset(self, device):
        self.peak, self.most_reserved = self.now, self.reserved

    def empty(self):
        self.reserved = self.now

    @contextmanager
    def having(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)
        self.reserved = max(self.reserved, self.now)
        self.most_reserved = max(self.most_reserved, self.reserved)
        yield
        self.now -= size


def passes(allocator):
    def action(watch):
        with allocator.having(10):
            with watch("encoder"), allocator.having(50):
                pass
            with watch("decoder"), allocator.having(5):
                pass
        with watch("encoder"), allocator.having(20):
            pass

    return action


def test_peaks_by_scope_on_a_gpu(monkeypatch):
    allocator = FakeAllocator(monkeypatch, held=100)
    held, peaks, _ = memory._cuda_peaks(torch.device("cuda:0"), passes(allocator))
    assert held == 100
    assert peaks == {"encoder": 60, "decoder": 15, "other": 10}


def test_reserved_memory_is_of_the_pass(monkeypatch):
    """Earlier passes of the process left 900 bytes in the cache, which is emptied."""
    allocator = FakeAllocator(monkeypatch, held=100, cached=900)
    _, _, reserved = memory._cuda_peaks(torch.device("cuda:0"), passes(allocator))
    assert reserved == 160


def test_given_instances_are_no_memory_of_the_subject(monkeypatch):
    allocator = FakeAllocator(monkeypatch, held=130)
    action = passes(allocator)
    subject = Subject(
        network=torch.nn.Identity(), frames=[1], clip=torch.zeros(1), device=torch.device("cuda:0"),
        predict=lambda clip: None, run=lambda video, end, watch: action(watch), read_and_run=None,
        given_bytes=lambda: 30, watchable=False,
    )  # fmt: skip
    found = memory.measure_memory(subject, None)
    assert (found.weights_bytes, found.peak_allocated_bytes) == (100, 160)


def test_the_hosts_peak_is_that_of_the_block():
    large = torch.ones(1 << 24)
    del large
    with memory.host_peak() as quiet:
        pass
    with memory.host_peak() as busy:
        large = torch.ones(1 << 24)
        del large
    assert busy.bytes - quiet.bytes == pytest.approx(64 << 20, rel=0.1)


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
    assert out_of_memory(RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert asked_bytes(caught.value) == 1 << 60
