"""`fit --calibrate`: predictions corrected by what was measured, with made records of a GPU."""

import re

import pytest

from ifc_bench.config import Footprint, FullTHW, ModelConfig
from ifc_bench.hardware.catalogue import gpu_model
from ifc_bench.hardware.cublas import workspace_bytes
from ifc_bench.records import Device, FootprintResult, Record
from ifc_bench.report.calibration import LEAST, calibrated_grid, calibrations
from ifc_bench.report.footprints import fit_grid, render_check
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli
from tests.report.test_profiles import TURING, V100, process, record

CAPABILITY = {V100: "7.0", TURING: "7.5"}


def footprint(peak: int | None, device: str | None = None, **changes: object) -> Record:
    """The record of a prediction, or of a measurement on `device`."""
    model = ModelConfig(communication=FullTHW())
    work = Footprint(
        model=model, frames=5, height=360, width=640, measured_on=device, version=2
    ).model_copy(update=changes)
    made = record([process(1.0)], device=device or "a processor")
    there = Device(
        kind="cuda" if device in CAPABILITY else "cpu",
        name=device or "a processor",
        compute_capability=CAPABILITY.get(device),
    )
    return made.model_copy(
        update={
            "work": work,
            "id": work.id,
            "status": "ok" if peak else "out_of_memory",
            "result": FootprintResult(weights_bytes=1, peak_bytes=peak),
            "provenance": made.provenance.model_copy(update={"device": there}),
        }
    )


def pairs(peaks, found, device=V100):
    """Predictions and measurements that differ in T."""
    return [
        (footprint(peak, frames=t + 1), footprint(seen, device, frames=t + 1))
        for t, (peak, seen) in enumerate(zip(peaks, found, strict=True))
    ]


PEAKS = [1_000_000_000, 2_000_000_000, 4_000_000_000]
WORKSPACE = 8_519_680


def test_a_constant_and_a_share_are_found_again():
    """The workspace of cuBLAS is no part of the correction: the prediction has it."""
    true = [1.05 * (peak + WORKSPACE) + 300e6 for peak in PEAKS]
    [learned] = calibrations(pairs(PEAKS, map(round, true)))
    assert learned.constant == pytest.approx(300e6)
    assert learned.share == pytest.approx(0.05)
    assert learned.errors == pytest.approx([0, 0, 0], abs=1e-8)
    assert learned.without[0] == pytest.approx((PEAKS[0] + WORKSPACE) / true[0] - 1)
    assert learned.peak(10_000_000_000) == pytest.approx(10.8e9)


def test_the_error_is_of_measurements_that_were_left_out():
    """By hand: the line through two of three points, held against the third."""
    on_line = [peak + WORKSPACE for peak in PEAKS]
    found = [*on_line[:2], on_line[2] + 400_000_000]
    [learned] = calibrations(pairs(PEAKS, found))
    assert learned.errors[2] == pytest.approx(on_line[2] / found[2] - 1)
    steep = on_line[0] + (on_line[1] - on_line[0]) / (on_line[2] - on_line[0]) * 400e6
    expected = steep + on_line[1] - on_line[0]
    assert learned.errors[1] == pytest.approx(expected / found[1] - 1)


def test_equal_predictions_tell_a_constant_alone():
    [learned] = calibrations(
        [(footprint(10**9, stride=s), footprint(10**9 + 10**8, V100, stride=s)) for s in (1, 2, 3)]
    )
    assert learned.share == 0
    assert learned.constant == pytest.approx(10**8 - WORKSPACE)


def test_each_device_with_enough_measurements_has_a_correction_of_its_own():
    found = calibrations([*pairs(PEAKS, PEAKS), *pairs(PEAKS[:2], PEAKS[:2], TURING)])
    assert [learned.device.name for learned in found] == [V100]
    assert LEAST == 3


def test_a_calibrated_peak_decides_the_verdict_of_its_gpu():
    [learned] = calibrations(pairs(PEAKS, [round(1.5 * p) for p in PEAKS]))
    grid = calibrated_grid([footprint(25_000_000_000)], learned)
    assert grid.columns[-3:] == ["predicted MB", "calibrated MB", "v100-32gb"]
    assert grid.rows[0][-3:] == ["25008.5", "37500.0", "does not fit"]
    assert "fitted to 3 measurements" in grid.head[0]


def test_the_workspace_of_cublas_is_in_the_verdict_of_each_gpu():
    """Of two peaks that differ by less than a workspace one fits; training has two workspaces."""
    card = gpu_model("h100")
    assert workspace_bytes(card.compute_capability) == 32 << 20
    assert workspace_bytes("7.0", threads=2) == 2 * WORKSPACE
    assert workspace_bytes(None) == 0
    most = card.usable_bytes

    def told(peak: int, **changes: object) -> str:
        return fit_grid([footprint(peak, **changes)], [card]).rows[0][-1]

    assert told(most - (32 << 20)) == "tight"
    assert told(most - (32 << 20) + 1) == "does not fit"
    assert told(most - (32 << 20), purpose="training") == "does not fit"
    assert told(most - (32 << 20) + 1, allocator="cpu") == "tight"


def test_a_check_on_a_gpu_adds_the_workspace_to_the_prediction():
    [pair] = pairs([10**9], [10**9 + WORKSPACE])
    assert "median 0.00%, largest +0.00%, n = 1" in render_check([pair], V100, "github")


def test_an_older_prediction_of_the_same_work_is_left_out():
    records = [footprint(10**9, version=version) for version in (2, 1)]
    [value] = fit_grid(records, []).values
    assert value["peak_bytes"] == 10**9
    old = footprint(2 * 10**9, version=1)
    assert [v["peak_bytes"] for v in fit_grid([old, records[0]], []).values] == [10**9]
    assert len(fit_grid([old, footprint(1, version=2, frames=6)], []).values) == 2
    assert old.id != records[0].id


def command(folder, *more: str):
    return run_cli(
        "fit", "--communication", "full", "--window", "2", "--frame-size", "32x64",
        "--attention", "materialised", "--gpu", "v100-32gb", "--calibrate",
        "--results", str(folder), *more,
    )  # fmt: skip


def test_the_command_calibrates_from_records_of_a_gpu_that_is_not_here(tmp_path):
    store = Store(tmp_path, tmp_path)
    for t in (2, 3, 4):
        changes = {"frames": t, "height": 32, "width": 64}
        store.save(footprint(200_000_000 * t, V100, **changes))
        store.save(footprint(200_000_000 * t - 50_000_000, None, **changes))
    done = command(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"### Memory on {V100} (calibrated)" in done.stdout
    table = done.stdout.partition("(calibrated)")[2]
    row = next(line for line in table.splitlines() if "32x64" in line)
    predicted, calibrated = (float(x) for x in re.findall(r"\d+\.\d", row)[:2])
    assert (predicted, calibrated) == (358.5, 400.0), "stored, with the workspace, and measured"


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_measurements_are_refused_before_any_work(tmp_path, count):
    store = Store(tmp_path, tmp_path)
    for t in range(count):
        store.save(footprint(10**9, V100, frames=t + 1))
    for other in ({"version": 1}, {"purpose": "training"}):
        store.save(footprint(10**9, V100, **other))
    told = one_line_error(command(tmp_path))
    assert f"--calibrate: {tmp_path}: has {count} measurements of one GPU for inference" in told
    assert "run fit --check on the GPU" in told
    assert "of one CPU" in one_line_error(command(tmp_path, "--device", "cpu"))


def test_a_cpu_is_calibrated_by_its_own_records(tmp_path):
    store = Store(tmp_path, tmp_path)
    for t in (2, 3, 4):
        store.save(footprint(200_000_000 * t, "some CPU", frames=t, allocator="cpu"))
        store.save(footprint(200_000_000 * t - 50_000_000, None, frames=t, allocator="cpu"))
    assert "of one GPU" in one_line_error(command(tmp_path))
    done = command(tmp_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "### Memory on some CPU (calibrated)" in done.stdout
    assert "+0.00% of the prediction and +50.0 MB, fitted to 3 measurements" in done.stdout
