"""Builds the subject of a profile: a network on a device, and its videos."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ifc_bench.config import Arithmetic, NoiseFrames, Profile, RandomWeights, Training, ladder
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.splits import Splits
from ifc_bench.measuring.speed import DTYPES, Subject
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.store import Store
from ifc_bench.tracking import ClipTracker, track_video
from ifc_bench.tracking.watch import Watch
from ifc_bench.training.checkpoint import trained_model

Reader = Callable[[list[int]], Tensor]


def settle(work: Profile) -> None:
    """Apply the settings of `work` that torch keeps for a whole process."""
    torch.set_num_threads(work.threads)
    torch.backends.cuda.matmul.allow_tf32 = work.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = work.precision == "tf32"
    torch.backends.cudnn.benchmark = work.cudnn_benchmark
    if work.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:  # the same as the call above with False, which takes 1.5 s to import a compiler
        torch.set_deterministic_debug_mode("default")


def make_subject(work: Profile, store: Store, device: str) -> Subject:
    """Build the network of `work` on `device`, and load its input videos.

    Raises:
        UserError: if its checkpoint or its data is missing.
    """
    torch_device = torch.device(device)
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)  # events are recorded on the current device
    lengths, sizes, from_memory, from_files = _videos(work, store)
    clip = from_memory[0](list(range(min(work.window or lengths[0], lengths[0]))))
    network = _network(work, store, torch_device, clip.to(torch_device))
    if work.compiled:
        network.features = torch.compile(network.features)  # type: ignore[method-assign]
        network.decode = torch.compile(network.decode)  # type: ignore[method-assign]

    def run(read: Reader, video: int, watch: Watch) -> None:
        tracker = ClipTracker(sizes[video], watch=watch)
        with arithmetic(torch_device, work.precision):
            track_video(network, read, lengths[video], tracker, work.window, work.stride, watch)

    def read_and_run(video: int, watch: Watch) -> None:
        run(from_files[video], video, watch)

    return Subject(
        network=network,
        frames=lengths,
        clip=clip,
        device=torch_device,
        run=lambda video, watch: run(from_memory[video], video, watch),
        read_and_run=read_and_run if from_files else None,
        watchable=not work.compiled,
    )


def arithmetic(device: torch.device, precision: Arithmetic) -> AbstractContextManager[object]:
    """Enable automatic mixed precision for bf16 and fp16; do nothing for fp32 and tf32."""
    if precision in ("fp32", "tf32"):
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


def random_network(weights: RandomWeights, device: torch.device, clip: Tensor) -> IFC:
    """A network that finds `instances` objects on `clip` [T, 3, H, W] (see `RandomWeights`)."""
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


def _videos(
    work: Profile, store: Store
) -> tuple[list[int], list[tuple[int, int]], list[Reader], list[Reader]]:
    """Return lengths, sizes of the output masks, and readers from memory and from files."""
    if isinstance(work.footage, NoiseFrames):
        noise = work.footage
        generator = torch.Generator().manual_seed(0)
        shape = (noise.frames, 3, noise.height, noise.width)
        video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        return [noise.frames], [(noise.height, noise.width)], [lambda i: video[i]], []
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
    from_memory: list[Reader] = [
        lambda indices, frames=frames: frames[indices]  # type: ignore[misc]
        for frames in whole
    ]
    return (
        [v.length for v in chosen],
        [(v.height, v.width) for v in chosen],
        from_memory,
        from_files,
    )
