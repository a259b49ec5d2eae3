"""Tries recipes for the embedded benchmark on data and seeds that no result uses.

    PYTHONPATH=. python benchmarks/tune_recipe.py run tuning --preset first --results tuning
    PYTHONPATH=. python benchmarks/tune_recipe.py show tuning

The first takes the options of `run_ablations.py`; presets are the candidates below. The second
prints, for each candidate with records, the mean over the four variants and the std over seeds. A
recipe is chosen by these two, never by a difference between variants, which is not printed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ablations.presets import EMBEDDED_IMAGES, EMBEDDED_SCHEDULE, EMBEDDED_VIDEOS, FULL
from ablations.table3a import table3a
from ablations.variants import COMMUNICATIONS
from ifc_bench.cli import main
from ifc_bench.config import LossConfig, NoComm, SyntheticData
from ifc_bench.recipe import Preset, Stage, Table, varied
from ifc_bench.recipe.control import Measure
from ifc_bench.report.results import Results
from ifc_bench.store import Store

_DATA_SEED, _FIRST_SEED = 1000, 1000
_FOUND = 0.5  # IoU of a track that is the instance's
_ASKED: tuple[tuple[Measure, str | None], ...] = (
    ("AP", None), ("marked IoU", "blank_static"), ("marked IoU", "fog"), ("AP", "clear_static"),
)  # fmt: skip


def tuning(preset: Preset) -> Table:
    """The rows of Table 3(a), without speed."""
    changes = {"name": "tuning", "title": "Tuning", "metrics": ("AP", "AP75"), "paper_table": None}
    return table3a(preset).model_copy(update=changes)


def candidate(
    name: str,
    changes: Mapping[str, object],
    on_images: int = 500,
    loss: Mapping[str, float] | None = None,
) -> Preset:
    """A recipe: iterations `on_images`, shared by the rows of a seed, then 340 on videos.

    `changes` are of the schedule on videos, those of the `loss` of both.
    """
    data = SyntheticData(generator=3, seed=_DATA_SEED, validation_videos=120)
    weighted = varied(EMBEDDED_SCHEDULE, {"loss": varied(EMBEDDED_SCHEDULE.loss, loss or {})})
    schedule = varied(weighted.of_length(340), {"curve_every": 0, **changes})
    images = SyntheticData(
        generator=3, seed=_DATA_SEED, train_videos=1000, validation_videos=12, frames=1
    )
    return FULL.model_copy(
        update={
            "name": name,
            "video": EMBEDDED_VIDEOS.model_copy(update={"data": data, "optimisation": schedule}),
            "image": _images(images, on_images, schedule.loss),
            "pretrain": True,
            "pretrain_module": NoComm(),
            "pretrain_seeds": True,
            "seeds": 3,
            "first_seed": _FIRST_SEED,
            "windows": (5, 20),
        }
    )


def _images(data: SyntheticData, iterations: int, loss: LossConfig) -> Stage:
    schedule = varied(EMBEDDED_IMAGES.optimisation.of_length(iterations), {"loss": loss})
    return EMBEDDED_IMAGES.model_copy(update={"data": data, "optimisation": schedule})


_LINEAR: dict[str, object] = {"decay": "linear", "drop_at": ()}
_AVERAGE: dict[str, object] = {"average": 0.98}
_BOTH = {**_LINEAR, **_AVERAGE}


CANDIDATES = {
    preset.name: preset
    for preset in (
        candidate("first", {}),
        candidate("linear", _LINEAR),
        candidate("average", _AVERAGE),
        candidate("both", _BOTH),
        candidate("both-longer-range", {**_BOTH, "sampling_range": 8}),
        candidate("both-more-images", _BOTH, on_images=1000),
        candidate("both-dice", _BOTH, loss={"dice": 4.0}),
        candidate("both-alpha", _BOTH, loss={"focal_alpha": 0.5}),
        candidate(
            "both-alpha-dice-more-images",
            _BOTH,
            on_images=1000,
            loss={"focal_alpha": 0.5, "dice": 4.0, "match_dice": 2.0},
        ),
    )
}


def show(folder: Path) -> None:
    """Print means over the variants, and stds over seeds pooled over them, in points."""
    store = Store(folder, folder)
    for name, preset in CANDIDATES.items():
        results = Results.read(tuning(preset), preset, store)
        _show_areas(name, results)
        for measure, situation in _ASKED:
            for window in preset.windows:
                rows = [_values(results, row, window, measure, situation) for row in COMMUNICATIONS]
                known = [row for row in rows if len(row) > 1]
                if len(known) < len(rows):
                    continue
                mean = statistics.fmean(100 * value for row in known for value in row)
                pooled = statistics.fmean(statistics.variance(row) for row in known) ** 0.5
                n = min(map(len, known))
                told = f"{name}: {measure} of {situation or 'all'} at T = {window}"
                print(f"{told}: mean {mean:.1f}, std over seeds {100 * pooled:.1f} (n = {n})")


def _show_areas(name: str, results: Results) -> None:
    """Print the median area of a track that was found, over the true one."""
    ratios = [
        area
        for _, result in results.evaluated()
        if result.marked is not None and result.marked.clear_area is not None
        for area, iou in zip(result.marked.clear_area, result.marked.clear_iou, strict=True)
        if area is not None and iou > _FOUND
    ]
    if ratios:
        print(f"{name}: area of masks: {statistics.median(ratios):.3f} of the true one")


def _values(
    results: Results, row: str, window: int, measure: Measure, situation: str | None
) -> Sequence[float]:
    found = results.scores_of(row, window, measure, situation)
    return [] if found is None else found.scores.values.tolist()


if __name__ == "__main__":
    if sys.argv[1:2] == ["show"]:
        show(Path(sys.argv[2]))
    else:
        sys.exit(main({"tuning": tuning}, CANDIDATES))
