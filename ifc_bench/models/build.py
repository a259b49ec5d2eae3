"""Configuration to modules: the one place where variants are chosen."""

from __future__ import annotations

from ifc_bench import config as c
from ifc_bench.errors import UserError
from ifc_bench.models import communication
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.backbone import FeatureExtractor, SmallNet
from ifc_bench.models.decoder import Decoder, DecoderLayer
from ifc_bench.models.encoder import EncoderLayer, FeedForward
from ifc_bench.models.ifc import IFC
from ifc_bench.models.initialisation import start_memory_at, zero_added_layers
from ifc_bench.models.mask_head import Heads, SpatialDecoder
from ifc_bench.models.own import load_own


def build_model(model: c.ModelConfig) -> IFC:
    """The network that `model` describes, with fresh weights from torch's global generator.

    Raises:
        UserError: where sizes do not fit each other.
    """
    return assemble(model, build_backbone(model.backbone))


def assemble(model: c.ModelConfig, backbone: FeatureExtractor) -> IFC:
    """The network on a `backbone` that is already there, whatever `model.backbone` says.

    Raises:
        UserError: where sizes do not fit each other.
    """
    strides = backbone.strides
    if model.mask_stride not in strides[:-1]:
        raise UserError(
            f"model.mask_stride: {model.mask_stride} is none of the backbone's finer strides "
            f"{strides[:-1]}"
        )
    if model.width % model.norm_groups:
        raise UserError(
            f"model.width: {model.width} is no multiple of model.norm_groups = {model.norm_groups}"
        )
    finest = strides.index(model.mask_stride)
    laterals = list(reversed(backbone.channels[finest:-1]))
    spatial = SpatialDecoder(model.width, laterals, model.norm_groups)
    network = IFC(
        backbone=backbone,
        communication=build_communication(model),
        decoder=build_decoder(model),
        heads=Heads(model.width, model.classes, spatial, model.box_frames),
        memory_tokens=model.communication.memory_tokens,
        finest=finest,
    )
    network.timed = model.time_positions
    if model.added_layers_start == "zero":
        zero_added_layers(network.communication)
    if isinstance(model.communication, c.InterFrame) and model.communication.memory_std:
        start_memory_at(network, model.communication.memory_std)
    return network


def build_backbone(backbone: c.Backbone) -> FeatureExtractor:
    """A backbone with fresh weights."""
    match backbone:
        case c.ResNetBackbone():
            from ifc_bench.models.resnet import ResNet

            return ResNet(backbone)
        case c.SmallBackbone():
            return SmallNet(backbone)


def build_communication(model: c.ModelConfig) -> communication.Communication:
    """The communication module of NE blocks."""

    def layer() -> EncoderLayer:
        return EncoderLayer(_attention(model), model.width, model.feedforward, model.dropout)

    blocks = model.encoder_layers
    match model.communication:
        case c.NoComm():
            return communication.NoComm(layer, blocks)
        case c.FullTHW():
            return communication.FullTHW(layer, blocks)
        case c.DecompTHW():
            return communication.DecompTHW(layer, blocks)
        case c.InterFrame() as ifc:
            hidden = not ifc.decoder_sees_memory
            talks = ifc.memory_tokens > 0 and ifc.gather_communicate
            talking = blocks - hidden if talks else 0
            unified = ifc.grouping == "unified"
            return communication.InterFrame(layer, blocks, talking, unified, hidden)
        case c.OwnModule():
            return load_own(model.communication)(layer, blocks)


def build_decoder(model: c.ModelConfig) -> Decoder:
    """The clip decoder of ND layers."""
    layers = [
        DecoderLayer(
            self_attention=_attention(model),
            cross_attention=_attention(model),
            feedforward=FeedForward(model.width, model.feedforward, model.dropout),
            width=model.width,
            dropout=model.dropout,
            per_frame=model.decoder == "decomposed",
        )
        for _ in range(model.decoder_layers)
    ]
    return Decoder(layers, model.queries, model.width)


def _attention(model: c.ModelConfig) -> MultiHeadAttention:
    return MultiHeadAttention(model.width, model.heads, model.dropout, model.attention)
