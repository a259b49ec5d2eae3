"""Times the evaluations of one training at T = 5, 10, 15 and 20, apart and in one pass.

    PYTHONPATH=. python benchmarks/evaluations.py --times 5

The network of the embedded benchmark with random weights, over generated scenes, from frames in
memory to tracks; both ways in turn, in one process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from evaluator import ratios

from ablations.presets import FULL
from ifc_bench.config import RandomWeights, Testing
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.synthetic import synthesize
from ifc_bench.inference import tracks_of
from ifc_bench.measuring.subject import random_network
from ifc_bench.models.inference_form import inference_form

WAYS = [Testing(window=window) for window in FULL.windows]


def main() -> None:
    """Read the options, track all videos both ways in turn, and print medians and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5, help="Turns; one more is not counted.")
    parser.add_argument("--videos", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    apart, together = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        scenes = FULL.video.data.model_copy(
            update={"train_videos": 1, "validation_videos": given.videos}
        )
        synthesize(scenes, Path(folder) / "data")
        data = VideoDataset(Path(folder) / "data/valid", cached_frames=1 << 20)
        clip = data.frames(data.videos[0], list(range(FULL.windows[0])))
        network = random_network(RandomWeights(model=FULL.model), torch.device("cpu"), clip)
        network = inference_form(network).to(memory_format=torch.channels_last)
        for turn in range(given.times + 1):
            begun = time.perf_counter()
            for way in WAYS:
                for video in data.videos:
                    tracks_of(network, data, video, [way])
            between = time.perf_counter()
            for video in data.videos:
                tracks_of(network, data, video, WAYS)
            ended = time.perf_counter()
            if turn:
                apart.append(between - begun)
                together.append(ended - between)
    print(
        f"apart {median(apart):.2f} s, in one pass {median(together):.2f} s, "
        f"ratio {ratios(together, apart)}, n = {given.times}"
    )


if __name__ == "__main__":
    main()
