"""Budgets. `smoke` is for tests, `quick` the default, `full` the embedded benchmark in earnest.

The embedded model has the paper's structure at a size that trains on a processor in minutes:
tokens at stride 8 of 64x96 frames, masks at stride 4. Its no-object weight is 1 with 10 queries,
where the paper has 0.1 with 100: the same balance between "no object" and everything else.
"""

from ifc_bench.config import (
    LossConfig,
    ModelConfig,
    Optimisation,
    SmallBackbone,
    SyntheticData,
)
from ifc_bench.recipe import Preset

EMBEDDED_MODEL = ModelConfig(
    classes=3,
    backbone=SmallBackbone(widths=(16, 32, 64)),
    width=64,
    heads=4,
    feedforward=256,
    dropout=0.0,
    queries=10,
    mask_stride=4,
    norm_groups=8,
)

EMBEDDED_SCHEDULE = Optimisation(
    iterations=600,
    clips=8,
    clip_frames=5,
    sampling_range=4,
    learning_rate=4e-4,
    backbone_multiplier=1.0,
    clip_norm=1.0,
    warmup=50,
    drop_at=(480,),
    loss=LossConfig(no_object=0.4),
    curve_every=300,
)

QUICK = Preset(
    name="quick",
    model=EMBEDDED_MODEL,
    optimisation=EMBEDDED_SCHEDULE,
    data=SyntheticData(),
    seeds=2,
    tables=("table1", "table3a"),
    profile_videos=4,
    profile_repeats=3,
    seconds_per_iteration=0.25,
    seconds_per_evaluation=8,
)

FULL = QUICK.model_copy(
    update={
        "name": "full",
        "optimisation": EMBEDDED_SCHEDULE.model_copy(
            update={"iterations": 1500, "drop_at": (1200,), "curve_every": 500}
        ),
        "seeds": 5,
        "tables": ("table1", "table3a", "table3c", "table3d", "decoder"),
        "profile_videos": 8,
        "profile_repeats": 5,
    }
)

SMOKE = QUICK.model_copy(
    update={
        "name": "smoke",
        "optimisation": EMBEDDED_SCHEDULE.model_copy(
            update={"iterations": 4, "clips": 2, "warmup": 1, "drop_at": (3,), "curve_every": 2}
        ),
        "data": SyntheticData(train_videos=5, validation_videos=5, frames=20),
        "windows": (5, 10),
        "profile_videos": 1,
        "profile_repeats": 2,
    }
)

PRESETS = {preset.name: preset for preset in (SMOKE, QUICK, FULL)}
