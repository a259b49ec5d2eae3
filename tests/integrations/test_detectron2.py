"""The bridge to detectron2, on the embedded data; skipped where detectron2 is not installed."""

import copy
import importlib.util
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from ifc_bench.config import ModelConfig, ResNetBackbone
from ifc_bench.models.build import build_model
from ifc_bench.models.imagenet import detectron2_name
from ifc_bench.tracking import ClipTracker, track_video
from tests.conftest import ROOT
from tests.released import noise_clip, released_checkpoint

INSTALLED = importlib.util.find_spec("detectron2") is not None
needed = [
    pytest.mark.detectron2,
    pytest.mark.skipif(not INSTALLED, reason="detectron2 is not installed (docs/detectron2.md)"),
]

# The keys of the released configuration for YouTube-VIS, base file and all.
BASE = """
MODEL:
  META_ARCHITECTURE: "Ifc"
  PIXEL_MEAN: [123.675, 116.280, 103.530]
  PIXEL_STD: [58.395, 57.120, 57.375]
  MASK_ON: True
  RESNETS: {DEPTH: 50, STRIDE_IN_1X1: False, OUT_FEATURES: ["res2", "res3", "res4", "res5"]}
  IFC: {NUM_CLASSES: 40}
DATASETS:
  TRAIN: ("embedded_train",)
  TEST: ("embedded_valid",)
SOLVER:
  IMS_PER_BATCH: 16
  BASE_LR: 0.0001
  STEPS: (4000,)
  MAX_ITER: 6000
  WARMUP_FACTOR: 1.0
  WARMUP_ITERS: 10
  WEIGHT_DECAY: 0.0001
  OPTIMIZER: "ADAMW"
  BACKBONE_MULTIPLIER: 0.1
  CLIP_GRADIENTS: {ENABLED: True, CLIP_TYPE: "full_model", CLIP_VALUE: 0.01, NORM_TYPE: 2.0}
INPUT:
  MIN_SIZE_TRAIN_SAMPLING: "choice_by_clip"
  RANDOM_FLIP: "flip_by_clip"
  AUGMENTATIONS: []
  MIN_SIZE_TRAIN: (64, 96)
  MIN_SIZE_TEST: 64
  CROP:
    ENABLED: False
    TYPE: "absolute_range"
    SIZE: (600, 720)
  FORMAT: "RGB"
DATALOADER: {FILTER_EMPTY_ANNOTATIONS: False, NUM_WORKERS: 0}
VERSION: 2
"""
SMALL = """
_BASE_: "base.yaml"
MODEL:
  DEVICE: cpu
  WEIGHTS: ""
  IFC: {NUM_CLASSES: 3, NUM_OBJECT_QUERIES: 8, DIM_FEEDFORWARD: 64, DROPOUT: 0.0}
SOLVER:
  IMS_PER_BATCH: 2
  MAX_ITER: 2
  STEPS: (1,)
INPUT: {SAMPLING_FRAME_NUM: 3, SAMPLING_FRAME_RANGE: 4}
"""


@pytest.fixture
def configured(data_folder, tmp_path):
    """A function from overrides to a configuration read from YAML files."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from ifc_bench.integrations import detectron2 as bridge

    for split in ("train", "valid"):
        folder = data_folder / split
        bridge.register_videos(
            f"embedded_{split}", folder / "instances.json", folder / "JPEGImages"
        )
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "small.yaml").write_text(SMALL)
    yield lambda *options: bridge.configured(
        str(tmp_path / "small.yaml"), ["OUTPUT_DIR", str(tmp_path / "out"), *options]
    )
    for split in ("train", "valid"):
        DatasetCatalog.remove(f"embedded_{split}")
        MetadataCatalog.remove(f"embedded_{split}")


@pytest.mark.skipif(INSTALLED, reason="detectron2 is installed")
def test_without_it_the_error_says_how_to_install_it():
    done = subprocess.run(
        [sys.executable, "-c", "import ifc_bench.integrations.detectron2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert "detectron2 is not installed" in done.stderr.splitlines()[-1]
    assert "docs/detectron2.md" in done.stderr.splitlines()[-1]


class TestBridge:
    pytestmark = needed

    @pytest.mark.parametrize("communication", ["none", "full", "decomposed", "ifc"])
    def test_two_iterations_and_an_evaluation(self, communication, configured):
        from ifc_bench.integrations.detectron2 import Trainer

        cfg = configured("MODEL.IFC.COMMUNICATION", communication)
        trainer = Trainer(cfg)
        before = trainer.model.network.project.weight.clone()
        trainer.train()
        assert trainer.iter == cfg.SOLVER.MAX_ITER == 2
        assert not torch.equal(before, trainer.model.network.project.weight)
        latest = trainer.storage.latest()
        assert {"loss_classes", "loss_focal", "loss_dice", "total_loss"} <= latest.keys()
        assert all(value[0] == value[0] for key, value in latest.items() if "loss" in key)
        scores = Trainer.test(cfg, trainer.model)["segm"]
        print(communication, {k: latest[k][0] for k in latest if "loss" in k}, scores)
        assert len(scores) == 12
        assert 0 <= scores["AP"] <= 100

    def test_the_same_weights_give_the_same_answer_as_our_own_path(self, configured):
        from detectron2.modeling import build_model as build_detectron2

        cfg = configured()
        torch.manual_seed(0)
        theirs = build_detectron2(cfg).eval()
        ours = build_model(
            ModelConfig(classes=3, queries=8, feedforward=64, dropout=0, backbone=ResNetBackbone())
        ).eval()
        state = theirs.network.state_dict()
        names = {
            key: f"backbone.body.{detectron2_name(key.removeprefix('backbone.body.'))}"
            if key.startswith("backbone.")
            else key
            for key in ours.state_dict()
        }
        ours.load_state_dict({key: state[name] for key, name in names.items()})
        clip = noise_clip(0, 5, 64, 96)
        with torch.no_grad():
            a, b = theirs.network(clip[None]), ours(clip[None])
        torch.testing.assert_close(a.class_logits, b.class_logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(a.mask_logits, b.mask_logits, atol=1e-4, rtol=0)
        answer = theirs([{"image": list(clip), "height": 64, "width": 96, "video_id": 7}])[0]
        tracks = track_video(
            ours, lambda indices: clip[indices], 5, ClipTracker((64, 96)), window=3
        )
        assert answer["video_id"] == 7
        assert len(answer["tracks"]) == len(tracks)
        for mine, other in zip(answer["tracks"], tracks, strict=True):
            assert mine.segmentations == other.segmentations

    def test_a_released_checkpoint_loads_through_weights(self, configured, tmp_path):
        from detectron2.checkpoint import DetectionCheckpointer
        from detectron2.modeling import build_model as build_detectron2

        torch.save({"model": released_checkpoint()}, tmp_path / "ifc.pth")
        options = ["MODEL.IFC.NUM_CLASSES", "40", "MODEL.IFC.NUM_OBJECT_QUERIES", "100"]
        model = build_detectron2(configured(*options, "MODEL.IFC.DIM_FEEDFORWARD", "2048"))
        DetectionCheckpointer(model).load(str(tmp_path / "ifc.pth"))
        released = released_checkpoint()
        for key, name in (
            ("network.memory", "detr.transformer.memory_bus"),
            ("network.backbone.body.res4.5.conv3.weight", None),
            ("network.heads.classify.layers.1.bias", "detr.class_embed.layers.1.bias"),
        ):
            name = name or "detr.backbone.0.backbone.res4.5.conv3.weight"
            assert torch.equal(model.state_dict()[key], released[name])

    def test_imagenet_weights_load_through_weights(self, configured, tmp_path):
        from detectron2.checkpoint import DetectionCheckpointer
        from detectron2.modeling import build_model as build_detectron2

        model = build_detectron2(configured())
        prefix = "network.backbone.body."
        rng = np.random.default_rng(0)
        arrays = {
            key.removeprefix(prefix): rng.normal(size=tuple(value.shape)).astype(np.float32)
            for key, value in model.state_dict().items()
            if key.startswith(prefix)
        }
        content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
        (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(content))
        DetectionCheckpointer(model).load(str(tmp_path / "R-50.pkl"))
        for key, array in arrays.items():
            assert np.array_equal(model.state_dict()[prefix + key].numpy(), array)

    def test_losses_are_ours_on_the_same_clips(self, configured):
        from detectron2.modeling import build_model as build_detectron2

        from ifc_bench.config import LossConfig
        from ifc_bench.integrations.detectron2 import Trainer
        from ifc_bench.models.criterion import losses

        cfg = configured()
        model = build_detectron2(cfg)
        batch = next(iter(Trainer.build_train_loader(cfg)))
        found = model(batch)
        clips, sizes = model._clips(batch)
        targets = [model._target(clip, clips.shape[-2:]) for clip in batch]
        assert all(target.masks.max() == 1 for target in targets if len(target.classes))
        again = losses(model.network(clips, sizes), targets, LossConfig())
        for name, value in again.items():
            torch.testing.assert_close(found[f"loss_{name}"], value)

    def test_its_own_mapper_makes_clips_of_one_frame(self, configured, data_folder):
        """detectron2's DatasetMapper: one image, polygons, no ids."""
        from detectron2.data import DatasetMapper
        from detectron2.modeling import build_model as build_detectron2
        from detectron2.structures import BoxMode

        image = next((data_folder / "train" / "JPEGImages").rglob("*.jpg"))
        thing = {
            "bbox": [4, 4, 20, 24],
            "bbox_mode": BoxMode.XYXY_ABS,
            "segmentation": [[4, 4, 20, 4, 20, 24, 4, 24]],
            "category_id": 2,
        }
        cfg = configured("INPUT.SAMPLING_FRAME_NUM", "1", "INPUT.RANDOM_FLIP", "none")
        cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
        mapper = DatasetMapper(cfg, is_train=True)
        things = [thing, copy.deepcopy(thing)]
        record = {"file_name": str(image), "height": 32, "width": 48, "annotations": things}
        model = build_detectron2(cfg)
        batch = [mapper(record), mapper(record)]
        target = model._target(batch[0], batch[0]["image"].shape[-2:])
        assert target.classes.tolist() == [2, 2]
        share = target.masks[0].mean().item()
        assert share == pytest.approx(16 * 20 / (32 * 48), rel=0.1)
        assert all(value.isfinite() for value in model(batch).values())

    def test_the_public_sets_are_registered_by_their_usual_names(self, data_folder, tmp_path):
        from detectron2.data import DatasetCatalog, MetadataCatalog

        from ifc_bench.integrations.detectron2 import register_all

        root = tmp_path / "ytvis_2019"
        for split in ("train", "valid"):
            (root / split).mkdir(parents=True)
            (root / split / "JPEGImages").symlink_to(data_folder / split / "JPEGImages")
            shutil.copy(data_folder / split / "instances.json", root / f"{split}.json")
        assert register_all(tmp_path) == ["ytvis_2019_train", "ytvis_2019_val"]
        videos = DatasetCatalog.get("ytvis_2019_train")
        assert [v["length"] for v in videos] == [12] * 5
        assert {a["category_id"] for v in videos for f in v["annotations"] for a in f} <= {0, 1, 2}
        assert MetadataCatalog.get("ytvis_2019_val").json_file == str(root / "valid.json")
        for name in ("ytvis_2019_train", "ytvis_2019_val"):
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)

    def test_what_is_not_the_papers_is_refused(self, configured):
        from detectron2.modeling import build_model as build_detectron2

        from ifc_bench.errors import UserError

        for options, message in (
            (("MODEL.IFC.PRE_NORM", "True"), "PRE_NORM"),
            (("MODEL.IFC.MATCH_STRIDE", "8"), "MATCH_STRIDE"),
        ):
            with pytest.raises(UserError, match=message):
                build_detectron2(configured(*options))
