"""The attention of memory tokens over a clip, drawn on its frames (paper, Figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import Video
from ifc_bench.errors import UserError
from ifc_bench.masks import decode
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inspection import foreground_share, memory_attention, predicted_foreground
from ifc_bench.pictures.strips import attention_strip, save
from ifc_bench.pictures.videos import video_of


@dataclass(frozen=True)
class Clip:
    """Clip of `window` frames from frame `first` on, resized to a short edge of `short_edge`."""

    video: int
    first: int
    window: int
    short_edge: int | None

    @property
    def indices(self) -> list[int]:
        """Frame numbers in the video."""
        return list(range(self.first, self.first + self.window))


def draw_attention(videos: VideoDataset, model: IFC, clip: Clip, out: Path, block: int = -1) -> str:
    """Draw the tokens with the most and the least attention on instances; returns their shares.

    Raises:
        UserError: if the video is shorter than the clip, or the model has no memory tokens.
    """
    video = video_of(videos, clip.video)
    if clip.first + clip.window > video.length:
        raise UserError(
            f"--first, --window: frames {clip.first} to {clip.first + clip.window - 1} are not all "
            f"in video {clip.video}, which has {video.length}"
        )
    frames = videos.frames(video, clip.indices, clip.short_edge)
    maps = memory_attention(model, frames, block)
    truth, origin = _foreground(videos, video, clip.indices, model, frames)
    share = foreground_share(maps, truth)
    most, least = int(share.argmax()), int(share.argmin())
    area = float(truth.float().mean())
    named = [(f"token {i}: {share[i]:.0%}", maps[:, i].numpy()) for i in (most, least)]
    title = (
        f"video {clip.video}: memory tokens with most and least attention on instances ({origin}, "
        f"{area:.0%} of the area)"
    )
    pixels = frames.permute(0, 2, 3, 1).numpy()
    save(attention_strip(pixels, clip.indices, named, title), out)
    return (
        f"of {len(share)} tokens, {most} has {share[most]:.1%} of its attention on "
        f"instances, {least} has {share[least]:.1%}; they are {area:.1%} of the area"
    )


def _foreground(
    videos: VideoDataset, video: Video, indices: list[int], model: IFC, clip: Tensor
) -> tuple[Tensor, str]:
    """Return the pixels [T, H, W] of any instance in the clip, and the source of the instances."""
    tubes = [a.rles for a in videos.instances.annotations if a.video_id == video.id]
    if not tubes:
        return predicted_foreground(model, clip), "predicted"
    cover = torch.zeros(len(indices), video.height, video.width, dtype=torch.bool)
    for tube in tubes:
        for position, index in enumerate(indices):
            rle = tube[index]
            if rle is not None:
                cover[position] |= torch.from_numpy(decode(rle)).bool()
    return cover, "ground truth"
