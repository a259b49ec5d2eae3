"""Builds the subject of a profile: a network on a device, and its videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ifc_bench.config import NoiseFrames, Profile, RandomWeights, Training, ladder
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.splits import Splits
from ifc_bench.measuring.ends import MeasuredTracker, ToMasks
from ifc_bench.measuring.equal_work import RecordedInstances
from ifc_bench.measuring.settings import settle
from ifc_bench.measuring.speed import DTYPES, Subject
from ifc_bench.models.arithmetic import arithmetic
from ifc_bench.models.build import build_model
from ifc_bench.models.compilation import compile_parts
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.store import Store
from ifc_bench.tracking.video import predict_clip, track_video
from ifc_bench.tracking.watch import Watch
from ifc_bench.training.checkpoint import trained_model

Reader = Callable[[list[int]], Tensor]


@dataclass(frozen=True)
class _Videos:
    """Lengths, sizes (height, width) of the output masks, and readers of frames by index."""

    lengths: list[int]
    sizes: list[tuple[int, int]]
    from_memory: list[Reader]
    from_files: list[Reader]


def make_subject(work: Profile, store: Store, device: str) -> Subject:
    """Build the network of `work` on `device`, and load its input videos.

    Raises:
        UserError: if its checkpoint or its data is missing.
    """
    torch_device = torch.device(device)
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)
    videos = _videos(work, store, pinned=torch_device.type == "cuda")
    first = videos.lengths[0]
    clip = videos.from_memory[0](list(range(min(work.window or first, first))))
    network = _network(work, store, torch_device, clip.to(torch_device))
    if work.compiled:
        compile_parts(network)
    recorded = None
    if work.equal_work:
        assert isinstance(work.weights, RandomWeights)
        dtype = DTYPES[work.precision]
        recorded = RecordedInstances(work.weights.instances, work.model.classes, dtype)

    def run(read: Reader, video: int, end: ToMasks, watch: Watch) -> None:
        length = videos.lengths[video]
        tracker = MeasuredTracker(videos.sizes[video], length, end, recorded, watch)
        with arithmetic(torch_device, work.precision):
            tracks = track_video(network, read, length, tracker, work.window, work.stride, watch)
        end.finish(tracks, watch)

    def predict(clip: Tensor) -> object:
        with arithmetic(torch_device, work.precision):
            return predict_clip(network, clip)

    def read_and_run(video: int, end: ToMasks, watch: Watch) -> None:
        run(videos.from_files[video], video, end, watch)

    return Subject(
        network=network,
        frames=videos.lengths,
        clip=clip,
        device=torch_device,
        predict=predict,
        run=lambda video, end, watch: run(videos.from_memory[video], video, end, watch),
        read_and_run=read_and_run if videos.from_files else None,
        given_bytes=lambda: recorded.bytes_on(torch_device) if recorded else 0,
        watchable=not work.compiled,
    )


def random_network(weights: RandomWeights, device: torch.device, clip: Tensor) -> IFC:
    """A network that finds `instances` objects on `clip` [T, 3, H, W]."""
    torch.manual_seed(0)
    network = build_model(weights.model).to(device).eval()
    with torch.inference_mode():
        logits = network(clip[None]).class_logits[0]
    margins = (logits[:, :-1].amax(1) - logits[:, -1]).sort(descending=True).values
    wanted = min(weights.instances, len(margins) - 1)
    last = network.heads.classify.layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias[-1] += margins[wanted - 1 : wanted + 1].mean()
    return network


@torch.inference_mode()
def logit_distance(work: Profile, subject: Subject, store: Store) -> float:
    """The largest difference of a logit of the clip from the first rung's of the speed ladder.

    `subject` is that of `work`.
    """
    clip = subject.clip.to(subject.device)
    bottom = ladder(work, subject.device.type == "cuda")[0]
    found = []
    for rung in (work, bottom):
        settle(rung)
        measured = rung is work
        network = subject.network if measured else _network(bottom, store, subject.device, clip)
        with arithmetic(subject.device, rung.precision):
            given = network.decode([m[None] for m in network.features(clip)])
        found.append((given.class_logits.double(), given.mask_logits.double()))
    settle(work)
    return max((a - b).abs().max().item() for a, b in zip(*found, strict=True))


def _network(work: Profile, store: Store, device: torch.device, clip: Tensor) -> IFC:
    if isinstance(work.weights, Training):
        path = store.checkpoint_path(work.weights)
        network = trained_model(path, work.weights, str(device), work.form)
    else:
        network = inference_form(random_network(work.weights, device, clip), work.form)
    layout = torch.channels_last if work.channels_last else torch.contiguous_format
    return network.to(memory_format=layout)


def _videos(work: Profile, store: Store, pinned: bool) -> _Videos:
    """Load the input videos; with `pinned` into memory that a GPU copies from by itself."""
    if isinstance(work.footage, NoiseFrames):
        noise = work.footage
        generator = torch.Generator().manual_seed(0)
        shape = (noise.frames, 3, noise.height, noise.width)
        video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        size = (noise.height, noise.width)
        return _Videos([noise.frames], [size], [_reader(video, pinned)], [])
    footage = work.footage
    if footage is None:
        assert isinstance(work.weights, Training), "random weights need input videos of their own"
        footage = work.weights.data
    data = VideoDataset(Splits(store, footage).folder / "valid", unannotated=True)  # no cache
    chosen = data.videos[: work.videos]
    from_files: list[Reader] = [
        lambda indices, video=video: data.frames(video, indices, work.size)  # type: ignore[misc]
        for video in chosen
    ]
    whole = [read(list(range(v.length))) for read, v in zip(from_files, chosen, strict=True)]
    return _Videos(
        lengths=[v.length for v in chosen],
        sizes=[(v.height, v.width) for v in chosen],
        from_memory=[_reader(frames, pinned) for frames in whole],
        from_files=from_files,
    )


def _reader(frames: Tensor, pinned: bool) -> Reader:
    """Read neighbouring frames from memory, as views."""
    kept = frames.pin_memory() if pinned else frames
    return lambda indices: kept[indices[0] : indices[-1] + 1]
