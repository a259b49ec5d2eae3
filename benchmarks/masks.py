"""Counts the pixels of masks that differ between the orders of operations of inference.

    python benchmarks/masks.py --data path/to/clips --checkpoint ifc.pth

Takes windows of T = 5 at S = 1 over the first frames of every video of a directory in the
YouTube-VIS format, with a released checkpoint. Tracks are compared in their order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ifc_bench.data.loading import VideoDataset
from ifc_bench.masks import BoolArray, decode
from ifc_bench.models.checkpoint import load_released_checkpoint
from ifc_bench.models.inference_form import inference_form
from ifc_bench.tracking import ClipTracker, track_video

FORMS = ("release", "shared", "folded")


def main() -> None:
    """Read the options, run every form over every video, and print counts and shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=24, help="Of each video, at most.")
    parser.add_argument("--short-edge", type=int, default=360)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = VideoDataset(given.data, unannotated=True)
    networks = {
        form: inference_form(load_released_checkpoint(given.checkpoint), form).to(  # type: ignore[arg-type]
            memory_format=torch.channels_last
        )
        for form in FORMS
    }
    different, pixels = dict.fromkeys(FORMS, 0), 0
    for video in data.videos:
        length = min(video.length, given.frames)
        size = (video.height, video.width)
        found = {}
        for form, network in networks.items():

            def read(indices: list[int]) -> torch.Tensor:
                return data.frames(video, indices, given.short_edge)  # noqa: B023 - called here

            tracks = track_video(network, read, length, ClipTracker(size), 5)
            found[form] = [track.segmentations for track in tracks]
        for form in FORMS:
            for one, other in zip(found["release"], found[form], strict=True):
                for a, b in zip(one, other, strict=True):
                    masks: list[BoolArray] = [
                        np.zeros(size, bool) if rle is None else decode(rle) for rle in (a, b)
                    ]
                    different[form] += int((masks[0] != masks[1]).sum())
        pixels += len(found["release"]) * length * size[0] * size[1]
    for form, count in different.items():
        print(f"{form}: {count} of {pixels} pixels, {1e6 * count / pixels:.2f} of a million")


if __name__ == "__main__":
    main()
