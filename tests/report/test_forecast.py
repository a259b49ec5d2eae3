"""Forecasts scale with the frame, know precisions apart, and say what they extrapolate."""

import pytest

from ifc_bench.config import (
    ROOFED,
    Footprint,
    InterFrame,
    ModelConfig,
    NoComm,
    NoiseFrames,
    Profile,
)
from ifc_bench.hardware.catalogue import gpu_model
from ifc_bench.records import ProfileResult, Rates, Record
from ifc_bench.report.forecast import FORECAST_FRAMES, forecast_grid, forecast_profile, learn
from ifc_bench.report.layout import Caution
from ifc_bench.report.roofline import least_seconds, pass_costs
from tests.report.test_profiles import V100, counted, measured, process, record

BOUNDED = (*ROOFED, "projection")
SMALL, LARGE = (96, 160), (192, 320)
PIXELS = SMALL[0] * SMALL[1]
OUTPUT, TRACKER, OTHER = 1e-7, 2e-8, 0.02  # seconds a pixel, a pixel of a window, a window


def bound_of_projection(work: Profile, windows: int, rates: Rates) -> float:
    """Once a window; half precision moves half of the bytes."""
    one = counted(work.clip_count)["projection"]
    moved = windows * one.bytes_moved / (2 if work.precision in ("fp16", "bf16") else 1)
    return max(windows * one.macs / rates.macs_per_second, moved / rates.bytes_per_second)


def profile(size=SMALL, window=5, precision="fp32", slower=2.0, device="a processor") -> Record:
    """Scopes take `slower` times their bound; the others what the three numbers above say."""
    made = record([process(1.0)], device=device, model=ModelConfig(communication=NoComm()))
    footage = NoiseFrames(frames=20, height=size[0], width=size[1])
    changes = {"footage": footage, "window": window, "precision": precision}
    work = made.work.model_copy(update=changes)
    rates = Rates(macs_per_second=1e12, bytes_per_second=1e12)
    costs = pass_costs(work, counted(work.clip_count), 20)
    windows, pixels = 20 - window + 1, size[0] * size[1]
    scopes = {scope: [slower * least_seconds(cost, rates)] for scope, cost in costs.items()}
    scopes |= {
        "output": [OUTPUT * 20 * pixels],
        "tracker": [TRACKER * windows * window * pixels],
        "projection": [slower * bound_of_projection(work, windows, rates)],
        "other": [OTHER * windows],
    }
    whole = sum(seconds[0] for seconds in scopes.values())
    result = ProfileResult(frames=[20], processes=[process(whole, scope_seconds=scopes)])
    return made.model_copy(update={"work": work, "id": work.id, "result": result})


def footprint(size=SMALL, **changes) -> Footprint:
    model = ModelConfig(communication=NoComm())
    work = Footprint(model=model, frames=5, height=size[0], width=size[1])
    return work.model_copy(update=changes)


def predicted(work: Footprint, records, card="a100-40gb") -> float:
    [value] = forecast_grid([work], [gpu_model(card)], records, counted).values
    return value["predicted_fps"]


def test_what_depends_on_the_frame_is_learned_apart_from_what_does_not():
    host = learn([profile(), profile(window=10)], counted).host
    assert host.each_pixel == pytest.approx(OUTPUT)
    assert host.each_window_pixel == pytest.approx(TRACKER)
    assert host.each_window == pytest.approx(OTHER)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_forecast_at_another_size_scales_output_and_tracker(size):
    """By hand: 36 frames, 32 windows of 5, and bounds at half of the peak rates."""
    card, work = gpu_model("a100-40gb"), footprint(size)
    rates = Rates(
        macs_per_second=card.macs_per_second("fp32"), bytes_per_second=card.bytes_per_second
    )
    planned = forecast_profile(work)
    costs = pass_costs(planned, counted(planned.clip_count), FORECAST_FRAMES)
    pixels, windows = size[0] * size[1], 32
    seconds = sum(2 * least_seconds(costs[scope], rates) for scope in ROOFED)
    seconds += 2 * bound_of_projection(planned, windows, rates)
    seconds += OUTPUT * 36 * pixels + windows * (5 * pixels * TRACKER + OTHER)
    assert predicted(work, [profile()]) == pytest.approx(FORECAST_FRAMES / seconds)


def test_a_precision_has_the_efficiency_of_its_own_profiles():
    slow = [profile(), profile(precision="fp16", slower=8.0)]
    learned = learn(slow, counted)
    assert learned.of("fp16") == pytest.approx(dict.fromkeys(BOUNDED, 1 / 8))
    assert learned.of("fp32") == pytest.approx(dict.fromkeys(BOUNDED, 1 / 2))
    assert learned.of("bf16") == learned.of_any
    half = footprint(LARGE, precision="fp16")
    assert predicted(half, slow) < predicted(half, [profile()])


def test_each_profile_is_predicted_from_the_others():
    """Exact where sizes and windows differ, wrong where a precision has no other profile."""
    alike = [profile(), profile(size=LARGE), profile(window=10)]
    assert learn(alike, counted).error == pytest.approx([0.0] * 3, abs=1e-9)
    assert learn([profile(), profile(precision="fp16", slower=8.0)], counted).error[1] < -0.05


def warnings(works, records) -> str:
    head = forecast_grid(works, [gpu_model("v100-32gb")], records, counted).head
    return " ".join(line for line in head if isinstance(line, Caution))


def test_the_head_says_what_was_learned_from_and_what_is_extrapolated():
    grid = forecast_grid([footprint()], [gpu_model("v100-32gb")], [profile()], counted)
    assert any(
        "learned from 1 profiles of a CPU: frames of 96x160, fp32, T = 5" in line
        for line in grid.head
    )
    assert warnings([footprint()], [profile()]) == "extrapolates to a GPU from a CPU"
    far = footprint(LARGE, precision="fp16", frames=20)
    told = warnings([footprint(), far], [profile(), profile(window=10)])
    assert told == (
        "extrapolates to a GPU from a CPU; to frames of 192x320; to fp16 by the efficiency in "
        "fp32; to T = 20"
    )


def test_nothing_is_extrapolated_where_a_gpu_was_measured_at_that_size():
    on_gpu = measured(InterFrame(), 5, V100)
    assert not warnings([footprint((360, 640))], [on_gpu])
