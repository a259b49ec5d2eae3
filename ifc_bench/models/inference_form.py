"""A network as inference runs it: the same function of a clip, in fewer operations."""

from __future__ import annotations

from torch import Tensor, nn

from ifc_bench.config import InferenceForm
from ifc_bench.models.ifc import IFC, padding_mask
from ifc_bench.models.mask_head import SpatialDecoder
from ifc_bench.models.spatial_halves import Beside, Upsampling
from ifc_bench.structures import Prediction


def inference_form(network: IFC, form: InferenceForm = "shared") -> IFC:
    """Put `network` into evaluation mode and into `form`, for inference alone.

    "release" is the order of operations of the released code. "shared" computes once for each frame
    what does not depend on the window: the same sums, one of them split in two. "folded" also
    merges the frozen batch norm of a ResNet into its convolutions, which changes where numbers are
    rounded in every layer. The modules of `network` are taken over, and changed in place.
    """
    network.eval()
    if form == "release":
        return network
    network.requires_grad_(False)
    if form == "folded":
        network.backbone.fold()
    return SharedIFC(network)


class SharedIFC(IFC):
    """An IFC whose `features` go as far as a frame can be taken by itself.

    These are the projection, the `leading` layers of the communication module with each frame's
    copy of the memory tokens, and half of the spatial decoder. `features` returns [F, ...], and
    `decode` takes [B, T, ...], of: what the spatial decoder adds at each level, fine to coarse; the
    memory tokens; the positions; the map of the tokens. It takes over the modules of `network`.
    """

    leading: int

    def __init__(self, network: IFC) -> None:
        nn.Module.__init__(self)
        for name, parameter in network.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, module in network.named_children():
            self.add_module(name, module)
        self.finest, self.timed = network.finest, network.timed
        self.leading = 0 if network.timed else network.communication.leading
        spatial = network.heads.spatial
        assert isinstance(spatial, SpatialDecoder)
        self.beside = Beside(spatial)
        self.heads.spatial = Upsampling(spatial)
        self.eval()

    def features(self, frames: Tensor, valid_sizes: Tensor | None = None) -> list[Tensor]:
        """Compute all that depends on one frame alone, for `frames` [F, 3, H, W]; see the class."""
        maps = super().features(frames, valid_sizes)
        grid = maps[-1].shape[-2:]
        padding = None
        if valid_sizes is not None:
            padding = padding_mask(valid_sizes, self.backbone.strides[-1], grid)
            padding = padding.repeat_interleave(len(frames) // len(valid_sizes), 0)
        tokens, positions, hidden = self._tokens(maps[-1][:, None], padding)
        positions = positions.expand_as(tokens)
        memory, memory_positions = self._memory(tokens)
        if self.leading:
            tokens, memory = self.communication.begin(
                tokens, memory, positions, memory_positions, hidden
            )
        placed = tokens.squeeze(1).transpose(1, 2).unflatten(-1, grid)
        return [*self.beside(maps[:-1]), memory.squeeze(1), positions.squeeze(1), placed]

    def decode(self, maps: list[Tensor], padding: Tensor | None = None) -> Prediction:
        """Predict from `features` [B, T, ...]; `padding` [B, h, w] is that of the tokens' map."""
        *sides, memory, positions, placed = maps
        grid = placed.shape[-2:]
        tokens = placed.flatten(3).transpose(2, 3)
        hidden = None
        if padding is not None:
            hidden = padding.flatten(1)[:, None].expand(-1, tokens.shape[1], -1)
        positions = self._in_time(positions)
        _, memory_positions = self._memory(tokens)
        begun = {"begun": self.leading} if self.leading else {}  # a module of one's own has none
        tokens, memory = self.communication(
            tokens, memory, positions, memory_positions, hidden, **begun
        )
        return self._read(tokens, memory, positions, hidden, sides, grid)

    def train(self, mode: bool = True) -> SharedIFC:
        """Refuse to train: this form has constants where the network has weights.

        Raises:
            ValueError: for mode True.
        """
        if mode:
            raise ValueError("train: this form is for inference; build_model makes one to train")
        return super().train(mode)

    def scope_modules(self) -> dict[str, list[nn.Module]]:
        """The same as of an IFC, with those that run once for each frame."""
        scopes = super().scope_modules()
        scopes["encoder"] += self.communication.spatial[: self.leading]
        scopes["mask_head"].append(self.beside)
        return scopes
