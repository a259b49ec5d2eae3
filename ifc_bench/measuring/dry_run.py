"""Dry run of a training: some real iterations in a fresh process, which leave nothing behind."""

from __future__ import annotations

import copy
import gc
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice, pairwise
from pathlib import Path

import psutil
import torch

from ifc_bench.config import Evaluation, RandomWeights, Testing, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.splits import Splits
from ifc_bench.data.transforms import Batch
from ifc_bench.data.youtube_vis import Video
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import usable_cores
from ifc_bench.inference import one_pass, predict, predict_in_one_pass, results_json
from ifc_bench.measuring.clocks import clock_for
from ifc_bench.measuring.isolation import Died, in_process
from ifc_bench.measuring.memory import cpu_peaks, network_bytes, out_of_memory
from ifc_bench.measuring.subject import random_network
from ifc_bench.models.inference_form import inference_form
from ifc_bench.records.dry_run import DryRun, Steps, Validation
from ifc_bench.store import Store
from ifc_bench.training.rehearsal import Rehearsal
from ifc_bench.training.setup import loaders, prepare

WARM_UP = 2  # AdamW's moments exist from the second iteration on
_MOST_BATCHES = 8  # in memory; more iterations use them again
_TEST_FRAMES = 20  # of validation videos to test on, at least
_INSTANCES = 10  # that random weights find in a window, as in `profile`
_HELD_BACK = 0.05  # of a CPU's free memory, for everything but tensors


@dataclass(frozen=True)
class Request:
    """A training run to measure, the tests of it, and the number of timed iterations."""

    training: Training
    evaluations: tuple[Evaluation, ...]
    device: str
    threads: int
    iterations: int
    loaders: int | None = None


def dry_run(request: Request, store: Store) -> DryRun:
    """Measure in a fresh process; nothing is kept.

    If the kernel kills it for lack of memory, the next one goes up to half as many clips.

    Raises:
        UserError: if data or device are not usable, memory does not hold the model alone, or a
            loss is not finite.
    """
    sizes = halves(request.training.optimisation.clips)
    # Made here, so that an interrupt, which kills the other process, removes it too.
    with tempfile.TemporaryDirectory(prefix="ifc-bench-dry-run-") as aside:
        for first in range(len(sizes)):
            answer = in_process(measure, request, store, Path(aside), sizes[first:])
            if isinstance(answer, DryRun):
                killed = tuple(Steps(size) for size in sizes[:first])
                return replace(answer, steps=(*killed, *answer.steps))
            assert isinstance(answer, Died)
            if not answer.killed:
                break
    reason = answer.message.strip().splitlines()[-1]
    raise UserError(f"--dry-run: training {request.training.id}: {reason}")


def halves(clips: int) -> list[int]:
    """Return the batch, its half, a quarter, and so on, down to 1 clip at a time."""
    return [clips >> power for power in range(clips.bit_length())]


def measure(request: Request, store: Store, aside: Path, sizes: Sequence[int]) -> DryRun:
    """Measure in this process, with each of `sizes` clips at a time; writes only under `aside`.

    `sizes` fall, and are measured from the last one up: after the first that runs out of memory the
    larger ones do so as well, and the heap of a CPU has no room for anything else.
    """
    prepare(request.device, request.threads)
    device = torch.device(request.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # events are recorded on the current device
    data = Splits(store, request.training.data)
    with _temporary_files(aside):
        free = _free_bytes(device)
        tests = _tests(request, data.valid, device)
        gc.collect()
        rehearsal = _rehearsal(request, data.train, aside / "checkpoint.pt", free)
        batches, load_seconds = _loaded(rehearsal, request.iterations)
        timed = list(islice(cycle(batches), request.iterations))
        with _limited_memory(device):
            steps, checkpoint = _all_steps(rehearsal, timed, sizes)
    heights, widths = zip(*(batch.clips.shape[-2:] for batch in batches), strict=True)
    return DryRun(
        frame_size=(max(heights), max(widths)),
        load_seconds=load_seconds,
        loaders=0 if data.embedded else loaders(request.loaders),
        cores=usable_cores(),
        steps=steps,
        checkpoint_bytes=checkpoint,
        tests=tests,
        free_bytes=free,
        on_gpu=device.type == "cuda",
    )


def _rehearsal(request: Request, data: VideoDataset, path: Path, free: int) -> Rehearsal:
    path.unlink(missing_ok=True)  # of a process that was killed: training would resume
    try:
        return Rehearsal(request.training, data, path, request.device)
    except Exception as error:
        if not out_of_memory(error):
            raise
    raise UserError(
        f"--device: {request.device} has {free / 1e9:.1f} GB of free memory, not enough for the "
        "model alone; end what else uses it, or name another device"
    )


def _loaded(rehearsal: Rehearsal, count: int) -> tuple[list[Batch], tuple[float, ...]]:
    """Load up to `count` batches in this process, and time each."""
    batches, marks = [], [time.monotonic()]
    for batch in islice(rehearsal.batches(), min(count, _MOST_BATCHES)):
        batches.append(batch)
        marks.append(time.monotonic())
    return batches, tuple(end - begin for begin, end in pairwise(marks))


def _all_steps(
    rehearsal: Rehearsal, batches: list[Batch], sizes: Sequence[int]
) -> tuple[tuple[Steps, ...], int | None]:
    """Return the iterations with each of `sizes`, and the bytes of a checkpoint."""
    found: list[Steps] = []
    checkpoint = None
    for size in reversed(sizes):
        if found and not found[-1].fits:
            found.append(Steps(size))
            continue
        found.append(_steps(rehearsal, batches, size))
        if checkpoint is None and found[-1].fits:
            checkpoint = rehearsal.save()
    return tuple(reversed(found)), checkpoint


def _steps(rehearsal: Rehearsal, batches: list[Batch], at_a_time: int) -> Steps:
    """Time one iteration with each batch, after the warm-up; lack of memory is a result."""
    device = rehearsal.device
    try:
        peak, seconds = _measured(rehearsal, batches, at_a_time)
    except Exception as error:
        # oneDNN's message where it has no memory left for the code of a convolution.
        if not (out_of_memory(error) or "could not create a primitive" in str(error)):
            raise
        return Steps(at_a_time)
    reserved = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
    return Steps(at_a_time, seconds, peak, reserved)


def _measured(
    rehearsal: Rehearsal, batches: list[Batch], at_a_time: int
) -> tuple[int, tuple[float, ...]]:
    """Return the peak of torch's allocations, and the seconds of each timed iteration."""
    device = rehearsal.device
    rehearsal.optimiser.zero_grad()
    held = network_bytes(rehearsal.model) + rehearsal.moments_bytes()

    def warm_up(_: object = None) -> None:
        for batch in islice(cycle(batches), WARM_UP):
            # Two parts reach the peak: the second one, with the gradients of the first in memory.
            rehearsal.step(batch.parts(2 * at_a_time)[0], at_a_time)

    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        warm_up()
    else:
        _, increases = cpu_peaks(device, warm_up)
    clock = clock_for(device)
    marks = [clock.mark()]
    for batch in batches:
        rehearsal.step(batch, at_a_time)
        marks.append(clock.mark())
    clock.finish()
    seconds = tuple(clock.seconds(begin, end) for begin, end in pairwise(marks))
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device)), seconds
    return held + max(increases.values()), seconds


def _tests(request: Request, valid: VideoDataset, device: torch.device) -> Validation | None:
    """Test on validation videos of median length; None without a test or enough memory."""
    schedule = request.training.optimisation
    if not (request.evaluations or schedule.curve_every):
        return None
    some = copy.copy(valid)
    some.videos = _typical(valid.videos)
    share = _frames(some.videos) / _frames(valid.videos)
    try:
        return _tested(request, some, share, device)
    except Exception as error:
        if not out_of_memory(error):
            raise
    return None


def _typical(videos: Sequence[Video]) -> list[Video]:
    """Return one video of median length, or a few longer ones as well if it is short."""
    in_order = sorted(videos, key=lambda video: video.length)
    found: list[Video] = []
    for video in in_order[len(in_order) // 2 :]:
        found.append(video)
        if _frames(found) >= _TEST_FRAMES:
            break
    return found


def _frames(videos: Sequence[Video]) -> int:
    return sum(video.length for video in videos)


def _tested(request: Request, some: VideoDataset, share: float, device: torch.device) -> Validation:
    model, schedule = request.training.model, request.training.optimisation
    size = min(schedule.sizes, default=None)
    first = list(range(min(schedule.clip_frames, some.videos[0].length)))
    clip = some.frames(some.videos[0], first, size).to(device)
    weights = RandomWeights(model=model, instances=min(_INSTANCES, model.queries - 1))
    network = random_network(weights, device, clip).to(memory_format=torch.channels_last)
    curve = 0.0
    passes = 2 if device.type == "cuda" else 1  # the first one on a GPU loads kernels
    if schedule.curve_every:
        for _ in range(passes):
            curve = predict(network, some, Testing.of_curve(schedule)).seconds
    network = inference_form(network).to(memory_format=torch.channels_last)
    seconds, size_of_all = 0.0, 0
    for hows in one_pass(request.evaluations):
        for _ in range(passes):
            found = predict_in_one_pass(network, some, hows)
        seconds += sum(each.seconds for each in found)
        size_of_all += sum(len(results_json(each)) for each in found)
    return Validation(share, seconds, curve, size_of_all)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


@contextmanager
def _temporary_files(aside: Path) -> Iterator[None]:
    """Create temporary files under `aside`, so that they are removed if this process is killed."""
    usual = tempfile.tempdir
    tempfile.tempdir = str(aside)
    try:
        yield
    finally:
        tempfile.tempdir = usual


@contextmanager
def _limited_memory(device: torch.device) -> Iterator[None]:
    """Limit this process to the free memory of a CPU.

    An allocation then fails, which is a result. Without a limit the kernel kills the process.
    """
    if device.type != "cpu":
        yield
        return
    usual = resource.getrlimit(resource.RLIMIT_DATA)
    memory = psutil.Process().memory_info()
    used = getattr(memory, "data", memory.vms)  # of Linux: without the code of libraries
    most = used + int(_free_bytes(device) * (1 - _HELD_BACK))
    if usual[0] != resource.RLIM_INFINITY:
        most = min(most, usual[0])
    resource.setrlimit(resource.RLIMIT_DATA, (most, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, usual)
