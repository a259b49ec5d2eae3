"""The coming baseline on generator 3: what `full` becomes when all its records are there.

    PYTHONPATH=. python benchmarks/next_baseline.py run decide --results next --seeds 3

Takes the options of `run_ablations.py`. Records are known by their work, so those of a part of the
seeds, or of the tables, are joined by `merge`. The recipe was chosen on other data and seeds
(`tune_recipe.py`).
"""

from __future__ import annotations

import sys

from ablations import TABLES
from ablations.presets import EMBEDDED_IMAGES, EMBEDDED_SCHEDULE, EMBEDDED_VIDEOS, FULL
from ifc_bench.cli import main
from ifc_bench.config import NoComm, SyntheticData
from ifc_bench.recipe import varied

_LOSS = varied(EMBEDDED_SCHEDULE.loss, {"focal_alpha": 0.5, "dice": 4.0, "match_dice": 2.0})
_VIDEOS = varied(
    EMBEDDED_SCHEDULE.of_length(680),
    {"decay": "linear", "drop_at": (), "average": 0.98, "loss": _LOSS, "curve_every": 0},
)
_IMAGES = varied(EMBEDDED_IMAGES.optimisation.of_length(1000), {"loss": _LOSS})

NEXT = FULL.model_copy(
    update={
        "video": EMBEDDED_VIDEOS.model_copy(
            update={
                "data": SyntheticData(generator=3, validation_videos=240),
                "optimisation": _VIDEOS,
            }
        ),
        "image": EMBEDDED_IMAGES.model_copy(
            update={
                "data": SyntheticData(
                    generator=3, train_videos=1000, validation_videos=200, frames=1
                ),
                "optimisation": _IMAGES,
            }
        ),
        "pretrain": True,
        "pretrain_module": NoComm(),
        "pretrain_seeds": True,
        "seeds_of_tables": (("decide", 10),),
    }
)

if __name__ == "__main__":
    sys.exit(main(TABLES, {"full": NEXT}))
