"""Presets: model, data, schedule and seeds of all tables.

`smoke` is for tests, `quick` is the default, `full` is the full embedded benchmark. `paper` and
`released` are the real recipe, after the paper's text and after the released configuration; they
need the data (`--data`) and GPUs.

The embedded model has the paper's structure at a size that trains on a CPU in minutes: tokens at
stride 8 of 64x96 frames, masks at stride 4. Trained from scratch for minutes, it learns masks long
before it learns which queries contain an object. Its loss therefore weights classes more than the
paper's (lambda0 = lambda1 = 1, lambda2 = 5). The weight of "no object" is not as low as 0.1,
because the model has 10 queries and not 100. A clip is five consecutive frames.
"""

from ifc_bench.config import (
    FolderData,
    ImageNet,
    LossConfig,
    ModelConfig,
    Optimisation,
    Protocol,
    ResNetBackbone,
    SmallBackbone,
    SyntheticData,
    Testing,
)
from ifc_bench.recipe import Preset, Stage

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
    iterations=340,
    clips=8,
    clip_frames=5,
    sampling_range=2,
    learning_rate=4e-4,
    backbone_multiplier=1.0,
    clip_norm=1.0,
    warmup=50,
    drop_at=(272,),
    loss=LossConfig(no_object=0.4, match_dice=1.0, dice=1.0, focal=5.0),
    curve_every=170,
)

EMBEDDED_VIDEOS = Stage(
    data=SyntheticData(validation_videos=30),
    optimisation=EMBEDDED_SCHEDULE,
    classes=EMBEDDED_MODEL.classes,
    seconds_per_iteration=0.25,
)

# One-frame videos replace COCO's images. A batch has as many frames as in the video schedule.
EMBEDDED_IMAGE_SCHEDULE = EMBEDDED_SCHEDULE.model_copy(
    update={"clips": 40, "clip_frames": 1, "curve_every": 0}
)
EMBEDDED_IMAGES = Stage(
    data=SyntheticData(train_videos=1000, validation_videos=200, frames=1),
    optimisation=EMBEDDED_IMAGE_SCHEDULE,
    classes=EMBEDDED_MODEL.classes,
    testing=Testing(window=1, protocol="image"),
    seconds_per_iteration=0.27,
)

QUICK = Preset(
    name="quick",
    model=EMBEDDED_MODEL,
    video=EMBEDDED_VIDEOS,
    image=EMBEDDED_IMAGES,
    box_weights=(0.5, 0.2),  # with DETR's (5, 2), boxes decide all matches before they are accurate
    seeds=2,
    tables=("table1", "table3a"),
    profile_videos=1,
    profile_protocol=Protocol(
        processes=1, min_seconds=0.5, max_seconds=2.0, scopes=False, warm_up_seconds=0.5
    ),
    seconds_per_evaluation=8,
    frames_of_evaluation=60 * 24,
    timed="measured on one thread of an AMD EPYC",
    checkpoint_bytes=9_000_000,
)

FULL = QUICK.model_copy(
    update={
        "name": "full",
        "video": EMBEDDED_VIDEOS.model_copy(
            update={"optimisation": EMBEDDED_SCHEDULE.of_length(1000), "data": SyntheticData()}
        ),
        "image": EMBEDDED_IMAGES.model_copy(
            update={"optimisation": EMBEDDED_IMAGE_SCHEDULE.of_length(1000)}
        ),
        "seeds": 5,
        "seconds_per_evaluation": 13,
        "tables": (
            "table1",
            "table2c",
            "table2d",
            "table3a",
            "table3b",
            "table3c",
            "table3d",
            "decoder",
        ),
        "profile_videos": 8,
        "profile_protocol": Protocol(scopes=False),
    }
)

SHORTEST = {"iterations": 4, "clips": 2, "warmup": 1, "drop_at": (3,)}

SMOKE = QUICK.model_copy(
    update={
        "name": "smoke",
        "video": EMBEDDED_VIDEOS.model_copy(
            update={
                "optimisation": EMBEDDED_SCHEDULE.model_copy(update=SHORTEST | {"curve_every": 2}),
                "data": SyntheticData(train_videos=5, validation_videos=5, frames=20),
            }
        ),
        "image": EMBEDDED_IMAGES.model_copy(
            update={
                "optimisation": EMBEDDED_IMAGE_SCHEDULE.model_copy(update=SHORTEST),
                "data": SyntheticData(train_videos=5, validation_videos=5, frames=1),
            }
        ),
        "windows": (5, 10),
        "profile_videos": 1,
        "profile_protocol": Protocol(
            processes=1,
            min_passes=1,
            min_seconds=0.01,
            max_seconds=0.01,
            scopes=False,
            warm_up_seconds=0.01,
        ),
    }
)

# The released configuration. It freezes the backbone's first two stages, as detectron2 does by
# default, and draws the frames of a clip with replacement.
RELEASED_SCHEDULE = Optimisation(
    iterations=6_000,
    clips=16,
    clip_frames=5,
    sampling_range=20,
    repeat_frames=True,
    drop_at=(4_000,),
    sizes=(360, 480),
)
RELEASED_IMAGE_SCHEDULE = RELEASED_SCHEDULE.model_copy(
    update={
        "iterations": 1_108_800,
        "clips": 32,
        "clip_frames": 1,
        "repeat_frames": False,
        "drop_at": (739_200,),
        "crop": (384, 600),
        "sizes": tuple(range(480, 801, 32)),
    }
)

RELEASED_VIDEOS = Stage(
    data=FolderData(name="youtube-vis-2019"),
    optimisation=RELEASED_SCHEDULE,
    classes=40,
    testing=Testing(window=None, short_videos="shrink", size=360),
    seconds_per_iteration=0.4,
)
RELEASED_IMAGES = Stage(
    data=FolderData(name="coco"),
    optimisation=RELEASED_IMAGE_SCHEDULE,
    classes=80,
    # The released configuration of COCO sets no size of testing, so detectron2's 800 applies.
    testing=Testing(window=1, short_videos="shrink", size=800, protocol="image"),
    seconds_per_iteration=0.2,
)

RELEASED = Preset(
    name="released",
    model=ModelConfig(backbone=ResNetBackbone(frozen_stages=2)),
    video=RELEASED_VIDEOS,
    image=RELEASED_IMAGES,
    pretrain=True,
    start=ImageNet(),
    tables=("table2c", "table2d", "table3a", "table3b", "table3c", "table3d", "decoder"),
    profile_videos=20,
    profile_protocol=Protocol(processes=4, scopes=False),  # the fewest that `compare` can judge
    seconds_per_evaluation=240,
    timed="estimated from MACs at 40% of a V100's float32 rate, not measured",
    checkpoint_bytes=470_000_000,
    gpus=8,
)

# The paper's text: 300 epochs of COCO, learning rate dropped at 200, then 8 epochs of YouTube-VIS,
# dropped at 5. The text omits crops, scales and the batch of images; they are as released.
PAPER = RELEASED.model_copy(
    update={
        "name": "paper",
        "video": RELEASED_VIDEOS.model_copy(
            update={
                "epochs": (8, 5),
                "optimisation": RELEASED_SCHEDULE.model_copy(update={"repeat_frames": False}),
            }
        ),
        "image": RELEASED_IMAGES.model_copy(update={"epochs": (300, 200)}),
    }
)

# Both stages of the paper on the real files in some minutes of one GPU: a trial of data, memory and
# code, whose AP says nothing about the paper's.
PAPER_SHORT = PAPER.model_copy(
    update={
        "name": "paper-short",
        "video": PAPER.video.model_copy(
            update={
                "epochs": None,
                "optimisation": PAPER.video.optimisation.model_copy(
                    update={"iterations": 300, "clips": 4, "drop_at": (200,), "sizes": (192, 240)}
                ),
                "testing": PAPER.video.testing.model_copy(update={"size": 192}),
                "seconds_per_iteration": 0.2,
            }
        ),
        "image": PAPER.image.model_copy(
            update={
                "epochs": None,
                "optimisation": PAPER.image.optimisation.model_copy(
                    update={
                        "iterations": 300,
                        "clips": 8,
                        "drop_at": (200,),
                        "crop": (192, 300),
                        "sizes": (192, 240, 288, 320),
                    }
                ),
                "testing": PAPER.image.testing.model_copy(update={"size": 320}),
                "seconds_per_iteration": 0.1,
            }
        ),
        "windows": (5, 20),
        "seeds": 2,
        "tables": ("table3a",),
        "profile_videos": 4,
        "seconds_per_evaluation": 60,
        "gpus": 1,
    }
)

PRESETS = {preset.name: preset for preset in (SMOKE, QUICK, FULL, PAPER, PAPER_SHORT, RELEASED)}
