"""Builds the subject of a profile: a network on a device, and its videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ifc_bench.config import NoiseFrames, OwnNetwork, Profile, RandomWeights, Training, ladder
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.splits import Splits
from ifc_bench.measuring.ends import MeasuredTracker, ToMasks
from ifc_bench.measuring.equal_work import RecordedInstances
from ifc_bench.measuring.own_network import answer_of, build_own, lay_out
from ifc_bench.measuring.settings import settle
from ifc_bench.measuring.speed import DTYPES, Subject
from ifc_bench.models.arithmetic import arithmetic
from ifc_bench.models.build import build_model
from ifc_bench.models.compilation import compile_parts
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.store import Store
from ifc_bench.structures import Track
from ifc_bench.tracking.video import Tracking, predict_clip, track_video
from ifc_bench.tracking.watch import Watch
from ifc_bench.tracking.whole_clips import track_whole_clips
from ifc_bench.training.checkpoint import trained_model

Reader = Callable[[list[int]], Tensor]


@dataclass(frozen=True)
class _Runner:
    """A network on its device, a clip through it, and a video through it in windows."""

    network: nn.Module
    predict: Callable[[Tensor], object]
    track: Callable[[Reader, int, MeasuredTracker, Watch], list[Track]]


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
        UserError: if its checkpoint or its data is missing, or a user's own network does not keep
            to the protocol.
    """
    torch_device = torch.device(device)
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)
    videos = _videos(work, store, pinned=torch_device.type == "cuda")
    first = videos.lengths[0]
    clip = videos.from_memory[0](list(range(min(work.window or first, first))))
    there = clip.to(torch_device)
    if isinstance(work.weights, OwnNetwork):
        runner = _own_runner(work, work.weights, there)
    else:
        runner = _runner(work, _network(work, store, torch_device, there))
    recorded = None
    if work.equal_work:
        assert isinstance(work.weights, RandomWeights | OwnNetwork)
        dtype = DTYPES[work.precision]
        recorded = RecordedInstances(work.weights.instances, work.model.classes, dtype)

    def run(read: Reader, video: int, end: ToMasks, watch: Watch) -> None:
        length = videos.lengths[video]
        tracker = MeasuredTracker(videos.sizes[video], length, end, recorded, watch)
        with arithmetic(torch_device, work.precision):
            tracks = runner.track(read, length, tracker, watch)
        end.finish(tracks, watch)

    def predict(clip: Tensor) -> object:
        with arithmetic(torch_device, work.precision):
            return runner.predict(clip)

    def read_and_run(video: int, end: ToMasks, watch: Watch) -> None:
        run(videos.from_files[video], video, end, watch)

    return Subject(
        network=runner.network,
        frames=videos.lengths,
        clip=clip,
        device=torch_device,
        predict=predict,
        run=lambda video, end, watch: run(videos.from_memory[video], video, end, watch),
        read_and_run=read_and_run if videos.from_files else None,
        given_bytes=lambda: recorded.bytes_on(torch_device) if recorded else 0,
        watchable=not work.compiled,
    )


def _runner(work: Profile, network: IFC) -> _Runner:
    """The network of this package, which shares the features of a frame between windows."""
    if work.compiled:
        compile_parts(network)

    def track(read: Reader, length: int, tracker: MeasuredTracker, watch: Watch) -> list[Track]:
        return track_video(network, read, length, tracker, work.window, work.stride, watch)

    return _Runner(network, lambda clip: predict_clip(network, clip), track)


def _own_runner(work: Profile, own: OwnNetwork, clip: Tensor) -> _Runner:
    """A network that a user brings, which takes the whole clip [T, 3, H, W] of every window."""
    height, width = clip.shape[-2:]
    network = lay_out(build_own(own, height, width).to(clip.device), work.channels_last)
    if work.compiled:
        network.compile()
    with arithmetic(clip.device, work.precision):
        answer_of(own, network, clip)

    @torch.inference_mode()
    def predict(frames: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = network(frames.to(clip.device, non_blocking=True))
        return found

    def track(read: Reader, length: int, tracker: MeasuredTracker, watch: Watch) -> list[Track]:
        way = Tracking(tracker, work.window, work.stride)
        return track_whole_clips(predict, read, length, way, watch)

    return _Runner(network, predict, track)


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
    assert isinstance(subject.network, IFC)
    clip = subject.clip.to(subject.device)
    bottom = ladder(work, subject.device.type == "cuda")[0]
    found = []
    network: IFC
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
        assert isinstance(work.weights, RandomWeights)
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
