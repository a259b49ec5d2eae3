"""The keys of the released configurations, and their values as our configuration."""

from __future__ import annotations

from detectron2.config import CfgNode

from ifc_bench.config import ModelConfig
from ifc_bench.errors import UserError


def add_ifc_config(cfg: CfgNode) -> None:
    """Add the keys of the released configurations with their defaults, and ours.

    Ours are MODEL.IFC.COMMUNICATION (none, full, decomposed, ifc), GROUPING, DECODER and ATTENTION.
    """
    ifc = cfg.MODEL.IFC = CfgNode()
    ifc.NUM_CLASSES = 80
    ifc.HIDDEN_DIM, ifc.NHEADS, ifc.DIM_FEEDFORWARD, ifc.DROPOUT = 256, 8, 2048, 0.1
    ifc.ENC_LAYERS, ifc.DEC_LAYERS, ifc.PRE_NORM = 3, 3, False
    ifc.NUM_OBJECT_QUERIES, ifc.NUM_MEMORY_BUS = 100, 8
    ifc.MASK_WEIGHT, ifc.DICE_WEIGHT, ifc.NO_OBJECT_WEIGHT = 3.0, 3.0, 0.1
    ifc.DEEP_SUPERVISION, ifc.MASK_STRIDE, ifc.MATCH_STRIDE = True, 4, 4
    ifc.CLIP_STRIDE, ifc.MERGE_ON_CPU = 1, False
    ifc.MULTI_CLS_ON, ifc.APPLY_CLS_THRES = True, 0.01
    ifc.COMMUNICATION, ifc.GROUPING = "ifc", "decomposed"
    ifc.DECODER, ifc.ATTENTION = "unified", "materialised"
    cfg.INPUT.SAMPLING_FRAME_NUM, cfg.INPUT.SAMPLING_FRAME_RANGE = 5, 20
    cfg.INPUT.SAMPLING_FRAME_SHUFFLE, cfg.INPUT.AUGMENTATIONS = False, []
    cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BACKBONE_MULTIPLIER = "ADAMW", 0.1


def model_config(cfg: CfgNode) -> ModelConfig:
    """Convert `cfg` to our configuration; the backbone is detectron2's own.

    Raises:
        UserError: if a key has a value that our model does not support.
    """
    ifc = cfg.MODEL.IFC
    for key, wanted in (("PRE_NORM", False), ("DEEP_SUPERVISION", True)):
        if ifc[key] != wanted:
            raise UserError(f"MODEL.IFC.{key}: {ifc[key]}; only {wanted} is supported")
    if ifc.MASK_STRIDE != ifc.MATCH_STRIDE:
        raise UserError(
            f"MODEL.IFC.MATCH_STRIDE: {ifc.MATCH_STRIDE} differs from MASK_STRIDE "
            f"{ifc.MASK_STRIDE}; masks are matched and supervised at one stride"
        )
    communication = {"kind": ifc.COMMUNICATION}
    if ifc.COMMUNICATION == "ifc":
        communication |= {"memory_tokens": ifc.NUM_MEMORY_BUS, "grouping": ifc.GROUPING}
    return ModelConfig.model_validate(
        {
            "classes": ifc.NUM_CLASSES,
            "communication": communication,
            "decoder": ifc.DECODER,
            "attention": ifc.ATTENTION,
            "width": ifc.HIDDEN_DIM,
            "heads": ifc.NHEADS,
            "feedforward": ifc.DIM_FEEDFORWARD,
            "encoder_layers": ifc.ENC_LAYERS,
            "decoder_layers": ifc.DEC_LAYERS,
            "dropout": ifc.DROPOUT,
            "queries": ifc.NUM_OBJECT_QUERIES,
        }
    )
