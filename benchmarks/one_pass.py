"""Times one pass over a video of noise: `python one_pass.py FORM THREADS FRAMES WINDOW`.

Runs the code that PYTHONPATH names, so that `inference.py` can time two clones of this project.
FORM "as it is" takes the network of a clone that has no forms; WINDOW 0 is offline. Prints one line
of JSON: seconds of the second pass, peak resident memory, tracks.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch

from ifc_bench.config import InterFrame, ModelConfig, RandomWeights
from ifc_bench.measuring.subject import random_network
from ifc_bench.tracking import ClipTracker, track_video

form, threads, frames, window = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
generator = torch.Generator().manual_seed(0)
video = torch.randint(0, 256, (frames, 3, 360, 640), dtype=torch.uint8, generator=generator)
weights = RandomWeights(model=ModelConfig(communication=InterFrame(memory_tokens=8)))
network = random_network(weights, torch.device("cpu"), video[:5])
if form != "as it is":
    from ifc_bench.models.inference_form import inference_form

    network = inference_form(network, form)  # type: ignore[arg-type]
network = network.to(memory_format=torch.channels_last)
for _ in range(2):  # the first pass is not counted
    begun = time.perf_counter()
    tracker = ClipTracker((360, 640))
    tracks = track_video(network, lambda i: video[i], frames, tracker, window or None)
    seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
megabytes = peak / (1024**2 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "tracks": len(tracks)}))
