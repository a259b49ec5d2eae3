"""The difference between predicted and measured peaks of a device, learned from `fit --check`.

Rounding of the allocator and cuDNN's workspaces are in no prediction. A correction
of a constant and a share of the prediction is fitted to the differences, by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from ifc_bench.hardware.catalogue import GpuModel, catalogue, same_gpu
from ifc_bench.records import Device, Record
from ifc_bench.report.footprints import PLACE, expected_peak, footprint_of, place, values, verdict
from ifc_bench.report.layout import Grid
from ifc_bench.report.quantities import EXACT_MEMORY

LEAST = 3  # measurements: two parameters, and one that can contradict them

Pair = tuple[Record, Record]  # the prediction, and the measurement of the same work


@dataclass(frozen=True)
class Calibration:
    """A correction of predicted peaks for one device.

    Attributes:
        device: the device that the measurements are of.
        constant: bytes that are added to every prediction.
        share: of the prediction, added as well.
        without: relative errors of the measured works before the correction.
        errors: after it, each measurement left out in turn.
    """

    device: Device
    constant: float
    share: float
    without: tuple[float, ...]
    errors: tuple[float, ...]

    def peak(self, expected: int) -> int:
        """Return the corrected peak of a prediction."""
        return round(_corrected(expected, self.constant, self.share))


def calibrations(pairs: Sequence[Pair]) -> list[Calibration]:
    """Fit one correction for each device with at least `LEAST` measurements."""
    by_device: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_device.setdefault(pair[1].provenance.device.name, []).append(pair)
    enough = (some for some in by_device.values() if len(some) >= LEAST)
    return [_calibrated(some) for some in enough]


def _calibrated(pairs: Sequence[Pair]) -> Calibration:
    device = pairs[0][1].provenance.device
    points = []
    for prediction, measurement in pairs:
        expected, found = expected_peak(prediction, device), footprint_of(measurement)[1]
        assert expected is not None
        assert found is not None, "only measurements that did not run out of memory are given"
        points.append((expected, found))
    errors = []
    for left_out, (expected, found) in enumerate(points):
        rest = [point for place, point in enumerate(points) if place != left_out]
        errors.append(_corrected(expected, *_fitted(rest)) / found - 1)
    without = tuple(expected / found - 1 for expected, found in points)
    return Calibration(device, *_fitted(points), without, tuple(errors))


def _fitted(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The constant and the share of a least-squares line through the differences.

    Where all predictions are equal there is no share.
    """
    mean = fmean(expected for expected, _ in points)
    difference = fmean(found - expected for expected, found in points)
    spread = sum((expected - mean) ** 2 for expected, _ in points)
    if spread == 0:
        return difference, 0.0
    share = sum((e - mean) * (found - e - difference) for e, found in points) / spread
    return difference - share * mean, share


def _corrected(expected: int, constant: float, share: float) -> float:
    return expected * (1 + share) + constant


def calibrated_grid(predictions: Sequence[Record], learned: Calibration) -> Grid:
    """Predicted and corrected peaks on one device; a verdict where the catalogue has the GPU."""
    gpu = _in_catalogue(learned.device)
    columns = [*PLACE, "predicted MB", "calibrated MB", *([gpu.key] if gpu else [])]
    grid = Grid(f"Memory on {learned.device.name} (calibrated)", _head(learned), columns)
    for record in predictions:
        work, _ = footprint_of(record)
        expected = expected_peak(record, learned.device)
        peak = None if expected is None else learned.peak(expected)
        told = {gpu.key: verdict(peak, gpu)} if gpu else {}
        numbers = [EXACT_MEMORY.number(expected), EXACT_MEMORY.number(peak)]
        grid.rows.append([*place(work), *numbers, *told.values()])
        grid.values.append(
            {
                **values(work),
                "device": learned.device.name,
                "predicted_bytes": expected,
                "calibrated_bytes": peak,
                **told,
            }
        )
    return grid


def _head(learned: Calibration) -> list[str]:
    def told(errors: Sequence[float]) -> str:
        middle, worst = median(abs(error) for error in errors), max(errors, key=abs)
        return f"median {middle:.2%}, largest {worst:+.2%}"

    return [
        f"calibrated: {learned.share:+.2%} of the prediction and "
        f"{EXACT_MEMORY.scale * learned.constant:+.1f} {EXACT_MEMORY.unit}, fitted to "
        f"{len(learned.errors)} measurements of fit --check on this device",
        f"error of those without calibration: {told(learned.without)}; with it, each predicted "
        f"from the others: {told(learned.errors)}",
    ]


def _in_catalogue(device: Device) -> GpuModel | None:
    found = [gpu for gpu in catalogue().values() if same_gpu(gpu.name, device.name)]
    return found[0] if device.kind == "cuda" and found else None
