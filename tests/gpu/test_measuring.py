"""Timers, clocks, memory and NVML against what the GPU does."""

import subprocess
import time

import pytest
import torch

from ifc_bench.config import (
    Footprint,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
)
from ifc_bench.hardware.device import describe_device
from ifc_bench.hardware.nvml import Gpu
from ifc_bench.measuring.clocks import EventClock
from ifc_bench.measuring.footprints import measure_footprint, predict_footprint
from ifc_bench.measuring.isolation import in_process
from ifc_bench.measuring.process import Measured, OutOfMemory, measure_once
from ifc_bench.store import Store

SHORT = Protocol(processes=1, min_passes=3, min_seconds=0.1, max_seconds=1.0, warm_up_seconds=0.1)


def profile(kind=None, window: int = 3, size=(96, 160), **changes: object) -> Profile:
    made = Profile(
        weights=RandomWeights(model=ModelConfig(communication=kind or InterFrame())),
        footage=NoiseFrames(frames=max(6, window), height=size[0], width=size[1]),
        window=window,
        device=describe_device("cuda:0", 1).name,
        protocol=SHORT,
    )
    return made.model_copy(update=changes)


def busy(device: torch.device, products: int = 50) -> None:
    a = torch.ones(2048, 2048, device=device)
    for _ in range(products):
        a @ a


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("apart", [False, True], ids=["default stream", "another stream"])
def test_events_agree_with_the_wall_clock(index, apart):
    if index >= torch.cuda.device_count():
        pytest.skip("there is no second GPU")
    device = torch.device(f"cuda:{index}")
    torch.cuda.set_device(0)
    stream = torch.cuda.Stream(device) if apart else torch.cuda.default_stream(device)
    with torch.cuda.stream(stream):
        busy(device)
        torch.cuda.synchronize(device)
        clock = EventClock(device)
        begun = time.perf_counter()
        start = clock.mark()
        busy(device, 300)
        end = clock.mark()
        clock.finish()
        wall = time.perf_counter() - begun
    assert clock.seconds(start, end) == pytest.approx(wall, rel=0.1)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_process_measures_everything(precision, tmp_path):
    work, store = profile(precision=precision), Store(tmp_path / "r", tmp_path / "runs")
    answer = in_process(measure_once, work, store, "cuda:0", 0, True)
    assert isinstance(answer, Measured), answer
    found = answer.samples
    for timed in (found.network, found.masks, found.results):
        assert timed.device_seconds is not None
        assert sum(timed.device_seconds) <= sum(timed.wall_seconds)
        assert timed.sm_clock_mhz is not None
    assert sum(found.warmup_wall_seconds) >= 3
    assert found.memory.peak_reserved_bytes >= found.memory.peak_allocated_bytes
    assert found.card is not None
    assert found.card.facts.max_sm_clock_mhz >= max(c for c in found.masks.sm_clock_mhz if c)
    assert found.settings["cublas_workspace"] == ":4096:8"
    if found.energy:
        assert found.energy.window_seconds > 2
        assert found.energy.joules / found.energy.window_seconds > found.energy.idle_watts


def test_the_network_can_be_captured_as_a_graph(tmp_path):
    store = Store(tmp_path / "r", tmp_path / "runs")
    answer = in_process(measure_once, profile(NoComm()), store, "cuda:0", 0)
    assert isinstance(answer, Measured), answer
    assert answer.samples.network_graph is not None


def test_equal_work_on_a_gpu(tmp_path):
    store = Store(tmp_path / "r", tmp_path / "runs")
    found = [
        in_process(measure_once, profile(kind), store, "cuda:0", 0, True).samples.content
        for kind in (NoComm(), FullTHW(), InterFrame())
    ]
    assert len(set(found)) == 1
    assert None not in found


def test_out_of_memory_is_told_with_evidence_and_the_next_row_is_measured(tmp_path):
    store = Store(tmp_path / "r", tmp_path / "runs")
    large = profile(FullTHW(), window=200, size=(2160, 3840))
    answer = in_process(measure_once, large, store, "cuda:0", 0)
    assert isinstance(answer, OutOfMemory), answer
    assert answer.evidence is not None
    assert answer.evidence.used_bytes > 0
    assert isinstance(in_process(measure_once, profile(), store, "cuda:0", 1), Measured)


@pytest.mark.parametrize("kind", [NoComm(), FullTHW(), InterFrame()])
@pytest.mark.parametrize("attention", ["materialised", "efficient"])
def test_predicted_peaks_are_near_those_of_the_allocator(kind, attention):
    """Before any calibration: within 10%. `fit --calibrate` is to bring it to 5%."""
    model = ModelConfig(communication=kind, attention=attention)
    work = Footprint(model=model, frames=5, height=360, width=640)
    predicted = predict_footprint(work).peak_bytes
    real = work.model_copy(update={"measured_on": describe_device("cuda:0", 1).name})
    measured = in_process(measure_footprint, real, "cuda:0").peak_bytes
    assert predicted == pytest.approx(measured, rel=0.10)


def test_nvml_agrees_with_nvidia_smi():
    fields = "name,uuid,driver_version,power.limit,clocks.max.sm"
    done = subprocess.run(
        ["nvidia-smi", "--id=0", f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
    )
    name, uuid, driver, limit, clock = (text.strip() for text in done.stdout.split(","))
    facts = Gpu(0).facts()
    assert (facts.name, facts.uuid, facts.driver) == (name, uuid, driver)
    assert facts.power_limit_watts == pytest.approx(float(limit), abs=1)
    assert facts.max_sm_clock_mhz == int(clock)
