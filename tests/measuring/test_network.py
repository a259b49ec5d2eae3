"""The network alone: a clip to its logits, and the same as a CUDA graph, on a fake."""

from contextlib import contextmanager

import pytest
import torch

from ifc_bench.config import InterFrame, NoComm, NoiseFrames, Profile, Protocol, RandomWeights
from ifc_bench.measuring import network, speed
from ifc_bench.measuring.clocks import HostClock
from ifc_bench.measuring.network import graph_times, network_times
from ifc_bench.measuring.speed import Subject
from ifc_bench.measuring.subject import make_subject
from ifc_bench.store import Store
from tests.conftest import tiny_model

SHORT = Protocol(min_passes=2, min_seconds=0.002, max_seconds=0.002)


def work(**changes: object) -> Profile:
    made = Profile(
        weights=RandomWeights(model=tiny_model(NoComm()), instances=2),
        footage=NoiseFrames(frames=6, height=32, width=48),
        window=3,
        device="cpu",
        protocol=SHORT,
    )
    return made.model_copy(update=changes)


@pytest.mark.parametrize("kind", [NoComm(), InterFrame(memory_tokens=2)])
def test_a_clip_is_predicted_as_a_window_of_a_video(kind, tmp_path):
    profile = work(weights=RandomWeights(model=tiny_model(kind), instances=2))
    subject = make_subject(profile, Store(tmp_path, tmp_path), "cpu")
    with torch.inference_mode():
        whole = subject.network(subject.clip[None])
    found = subject.predict(subject.clip)
    torch.testing.assert_close(found.class_logits, whole.class_logits)
    torch.testing.assert_close(found.mask_logits, whole.mask_logits)
    assert found.mask_logits.shape[2] == 3, "T frames, and no tracker"


def test_the_network_is_timed_without_tracker_and_output(tmp_path):
    calls = []
    made = Subject(
        network=torch.nn.Identity(),
        frames=[6],
        clip=torch.zeros(3, 3, 4, 4),
        device=torch.device("cpu"),
        predict=lambda clip: calls.append(clip.shape),
        run=lambda *_: pytest.fail("no video is run"),
        read_and_run=None,
    )
    found = network_times(made, SHORT)
    assert set(calls) == {(3, 3, 4, 4)}
    assert len(calls) == len(found.wall_seconds) + 3, "three before, to choose kernels"
    assert graph_times(made, SHORT) is None, "a CPU has no CUDA graphs"


class FakeStream:
    def wait_stream(self, other):
        pass


class FakeGraph:
    replays = 0

    def replay(self):
        FakeGraph.replays += 1


@pytest.fixture
def cuda(monkeypatch):
    """A CUDA device that does nothing; `cuda["fails"]` makes the capture fail."""
    state = {"capturing": False, "fails": False}

    @contextmanager
    def graph(one):
        state["capturing"] = True
        yield
        state["capturing"] = False
        if state["fails"]:
            raise RuntimeError("operation not permitted when stream is capturing")

    @contextmanager
    def stream(one):
        yield

    FakeGraph.replays = 0
    for name, value in {
        "Stream": lambda device: FakeStream(),
        "current_stream": lambda device=None: FakeStream(),
        "CUDAGraph": FakeGraph,
        "graph": graph,
        "stream": stream,
        "synchronize": lambda device=None: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(speed, "clock_for", lambda device: HostClock())
    return state


def on_gpu(predict, monkeypatch) -> Subject:
    clip = torch.zeros(3, 3, 4, 4)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)
    return Subject(
        network=torch.nn.Identity(), frames=[6], clip=clip, device=torch.device("cuda:0"),
        predict=predict, run=lambda *_: None, read_and_run=None,
    )  # fmt: skip


def test_a_graph_is_captured_once_and_replayed(cuda, monkeypatch):
    captured = []
    subject = on_gpu(lambda clip: captured.append(cuda["capturing"]), monkeypatch)
    found = graph_times(subject, SHORT)
    assert captured == [False, False, False, True], "three tries, then the capture"
    assert FakeGraph.replays == len(found.wall_seconds) >= 3


def test_a_network_that_cannot_be_captured_has_no_graph(cuda, monkeypatch):
    cuda["fails"] = True
    assert graph_times(on_gpu(lambda clip: None, monkeypatch), SHORT) is None
    assert FakeGraph.replays == 0


def test_captures_come_last(tmp_path, monkeypatch):
    """A failed capture may leave the process unusable, so nothing is measured after it."""
    from ifc_bench.measuring import memory, process

    order = []
    for module, name in ((memory, "measure_memory"), (network, "graph_times")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, real=real, name=name: (order.append(name), real(*a))[1]
        )
    process.measure_once(work(), Store(tmp_path, tmp_path), "cpu", 0)
    assert order == ["measure_memory", "graph_times"]
