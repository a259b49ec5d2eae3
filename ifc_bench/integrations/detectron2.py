"""Our IFC, with every variant, inside detectron2; see docs/detectron2.md.

Importing this module registers the meta-architecture "Ifc", the name in the released
configurations. Everything from after the backbone to the losses is our code.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifc_bench.errors import UserError

try:
    import detectron2  # noqa: F401
except ModuleNotFoundError as missing:
    if missing.name != "detectron2":
        raise  # detectron2 is installed, but a module that it needs is not

    class MissingDetectron2(UserError, ImportError):  # noqa: N818 - named by what is missing
        """Raised if detectron2 is not installed."""

    raise MissingDetectron2(
        "detectron2 is not installed; it is on no package registry, docs/detectron2.md says how to "
        "install it"
    ) from None

from detectron2.config import CfgNode, get_cfg
from detectron2.data import (
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone
from detectron2.utils import comm

from ifc_bench.config import LossConfig
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.transforms import shrink_masks
from ifc_bench.evaluation import PredictedTrack, score_videos
from ifc_bench.inference import scored
from ifc_bench.integrations.detectron2_config import add_ifc_config, model_config
from ifc_bench.integrations.detectron2_data import ClipMapper, register_all, register_videos
from ifc_bench.models.backbone import FeatureExtractor
from ifc_bench.models.build import assemble
from ifc_bench.models.checkpoint import released_name
from ifc_bench.models.criterion import losses
from ifc_bench.structures import Target
from ifc_bench.tracking import ClipTracker, track_video
from ifc_bench.training.processes import Processes

__all__ = ["Ifc", "Trainer", "VideoEvaluator", "add_ifc_config", "register_all", "register_videos"]

_LEVELS = ("res3", "res4", "res5")


class Backbone(FeatureExtractor):
    """detectron2's backbone; frames are already in the channel order of INPUT.FORMAT."""

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.body = build_backbone(cfg)
        shapes = self.body.output_shape()
        missing = [level for level in _LEVELS if level not in shapes]
        if missing:
            raise UserError(f"MODEL.RESNETS.OUT_FEATURES: lacks {missing[0]}; it needs {_LEVELS}")
        self.channels = tuple(shapes[level].channels for level in _LEVELS)
        self.strides = tuple(shapes[level].stride for level in _LEVELS)
        self.mean = torch.tensor(cfg.MODEL.PIXEL_MEAN).view(3, 1, 1)
        self.std = torch.tensor(cfg.MODEL.PIXEL_STD).view(3, 1, 1)

    def forward(self, frames: Tensor) -> list[Tensor]:
        maps = self.body(frames)
        return [maps[level] for level in _LEVELS]


@META_ARCH_REGISTRY.register()
class Ifc(nn.Module):
    """Meta-architecture for detectron2's dicts: clips in training, whole videos in testing.

    An input's "image" is a list of frames [3, H, W] (or one such tensor, a clip of T = 1). Its
    "instances" is a list of one Instances per frame, with `gt_masks`, `gt_classes` and, for several
    frames, `gt_ids`: an instance has the same row in all frames, and id -1 where it is not visible.

    In training it returns weighted losses; in testing, for each video, a dict with `video_id` and
    `tracks`. Released checkpoints load through MODEL.WEIGHTS.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        ifc = cfg.MODEL.IFC
        self.network = assemble(model_config(cfg), Backbone(cfg))
        self.loss = LossConfig(
            match_dice=ifc.DICE_WEIGHT,
            dice=ifc.DICE_WEIGHT,
            focal=ifc.MASK_WEIGHT,
            no_object=ifc.NO_OBJECT_WEIGHT,
            supervision_stride=ifc.MASK_STRIDE,
        )
        self.window, self.stride = cfg.INPUT.SAMPLING_FRAME_NUM, ifc.CLIP_STRIDE
        self.register_load_state_dict_pre_hook(_from_released)
        self.to(torch.device(cfg.MODEL.DEVICE))

    @property
    def device(self) -> torch.device:
        return self.network.memory.device

    def forward(self, inputs: list[dict[str, Any]]) -> Any:
        if not self.training:
            return [self._track(video) for video in inputs]
        clips, sizes = self._clips(inputs)
        prediction = self.network(clips, sizes)
        targets = [self._target(clip, clips.shape[-2:]) for clip in inputs]
        world = Processes(comm.get_rank(), comm.get_world_size())
        parts = losses(prediction, targets, self.loss, world.average)
        return {f"loss_{name}": value for name, value in parts.items()}

    def _clips(self, inputs: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """Batch clips [B, T, 3, H, W], padded to the largest, and their sizes [B, 2] before it."""
        clips = [torch.stack(_frames(clip)).to(self.device) for clip in inputs]
        sizes = torch.tensor([clip.shape[-2:] for clip in clips], device=self.device)
        height, width = sizes.max(0).values.tolist()
        padded = clips[0].new_zeros(len(clips), *clips[0].shape[:2], height, width)
        for place, clip in zip(padded, clips, strict=True):
            place[..., : clip.shape[-2], : clip.shape[-1]] = clip
        return padded, sizes

    def _target(self, clip: dict[str, Any], size: torch.Size) -> Target:
        given = clip["instances"]
        frames = [f.to(self.device) for f in (given if isinstance(given, list) else [given])]
        rows = len(frames[0])
        masks = torch.zeros(rows, len(frames), *size, dtype=torch.bool, device=self.device)
        visible = torch.ones(rows, len(frames), dtype=torch.bool, device=self.device)
        for index, frame in enumerate(frames):
            drawn = _masks(frame)
            masks[:, index, : drawn.shape[-2], : drawn.shape[-1]] = drawn
            if frame.has("gt_ids"):
                visible[:, index] = frame.gt_ids >= 0
        # The class may be a placeholder where an instance is not visible, so take it from a frame
        # in which it is visible.
        classes = torch.stack([frame.gt_classes for frame in frames], 1)
        seen = visible.any(1)
        first = visible.int().argmax(1, keepdim=True)
        return Target(
            classes.gather(1, first)[seen, 0],
            shrink_masks(masks[seen], self.loss.supervision_stride),
        )

    def _track(self, video: dict[str, Any]) -> dict[str, Any]:
        frames = torch.stack(_frames(video))
        size = (video.get("height", frames.shape[-2]), video.get("width", frames.shape[-1]))
        tracks = track_video(
            self.network,
            lambda indices: frames[indices],
            len(frames),
            ClipTracker(size),
            self.window,
            self.stride,
        )
        return {"video_id": video.get("video_id", video.get("image_id")), "tracks": tracks}


def _frames(clip: dict[str, Any]) -> list[Tensor]:
    image = clip["image"]
    return image if isinstance(image, list) else [image]


def _masks(frame: Any) -> Tensor:
    """Return masks bool [I, H, W] of an Instances with bitmap or polygon masks."""
    masks = frame.gt_masks
    if hasattr(masks, "tensor"):
        return masks.tensor
    from detectron2.structures import BitMasks

    return BitMasks.from_polygon_masks(masks, *frame.image_size).tensor.to(frame.gt_classes.device)


def _from_released(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename a released checkpoint's entries to our names."""
    if not any(key.startswith("detr.") for key in state):
        return
    for key in list(module.state_dict()):
        ours = key.removeprefix("network.")
        theirs = released_name(ours)
        if ours.startswith("backbone.body."):
            theirs = "detr.backbone.0.backbone." + ours.removeprefix("backbone.body.")
        if theirs in state:
            state[prefix + key] = state.pop(theirs)
    state.pop("criterion.empty_weight", None)


class VideoEvaluator(DatasetEvaluator):  # type: ignore[misc]  # detectron2 may be missing
    """Our video AP over a registered data set, with detectron2's evaluator interface.

    `evaluate` returns {"segm": metrics}: the twelve metrics of the YouTube-VIS API, as percentages,
    nan without any ground truth.
    """

    def __init__(self, name: str, threshold: float = 0.01) -> None:
        self.truth = read_instances(Path(MetadataCatalog.get(name).json_file))
        self.categories = sorted(category.id for category in self.truth.categories)
        self.threshold = threshold
        self.found: list[PredictedTrack] = []

    def reset(self) -> None:
        self.found = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        for output in outputs:
            tracks, video = output["tracks"], output["video_id"]
            self.found += scored(tracks, video, self.categories, self.threshold)

    def evaluate(self) -> dict[str, dict[str, float]]:
        found = list(itertools.chain(*comm.gather(self.found)))
        if not comm.is_main_process():
            return {}
        summary = score_videos(self.truth, found).summary()
        return {"segm": {n: 100 * v if v >= 0 else float("nan") for n, v in summary.items()}}


class Trainer(DefaultTrainer):  # type: ignore[misc]
    """detectron2's trainer with the released optimiser, our mapper and our evaluator."""

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        return build_detection_train_loader(cfg, mapper=ClipMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        mapper = ClipMapper(cfg, is_train=False)
        return build_detection_test_loader(cfg, dataset_name, mapper=mapper)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> VideoEvaluator:
        return VideoEvaluator(dataset_name, cfg.MODEL.IFC.APPLY_CLS_THRES)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Build AdamW with a lower rate for the backbone, and clip the gradient's global norm."""
        slow = cfg.SOLVER.BASE_LR * cfg.SOLVER.BACKBONE_MULTIPLIER
        groups = [
            {"params": [parameter], "lr": slow if "backbone" in name else cfg.SOLVER.BASE_LR}
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=cfg.SOLVER.WEIGHT_DECAY)
        clip = cfg.SOLVER.CLIP_GRADIENTS
        if clip.ENABLED and clip.CLIP_TYPE == "full_model":
            parameters = [p for p in model.parameters() if p.requires_grad]

            def clip_whole_model(*_: Any) -> None:
                nn.utils.clip_grad_norm_(parameters, clip.CLIP_VALUE)

            optimiser.register_step_pre_hook(clip_whole_model)
        return optimiser


def configured(file: str, options: list[str]) -> CfgNode:
    """Load the configuration of a YAML file (released ones load unchanged), with overrides."""
    cfg = get_cfg()
    add_ifc_config(cfg)
    cfg.merge_from_file(file)
    cfg.merge_from_list(options)
    return cfg


def main(arguments: Any) -> Any:
    """Train, or with --eval-only test, as detectron2's own script does."""
    cfg = configured(arguments.config_file, arguments.opts)
    cfg.freeze()
    default_setup(cfg, arguments)
    register_all(Path(arguments.data))
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return Trainer.test(cfg, trainer.model) if arguments.eval_only else trainer.train()


if __name__ == "__main__":
    parser = default_argument_parser()
    parser.add_argument("--data", default="datasets", help="directory of the public data sets")
    given = parser.parse_args()
    launch(
        main,
        given.num_gpus,
        num_machines=given.num_machines,
        machine_rank=given.machine_rank,
        dist_url=given.dist_url,
        args=(given,),
    )
