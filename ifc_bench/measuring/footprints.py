"""Peak memory of a clip: predicted on fake tensors, or measured on a device.

Both run the same modules over the same windows, or the same training step. A prediction differs
only in its tensors, which have no content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.config import Footprint, ModelConfig, OwnNetwork, RandomWeights
from ifc_bench.errors import UserError
from ifc_bench.measuring.cuda_autocast import cuda_autocast
from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.measuring.memory import asked_bytes, cpu_peaks, network_bytes, out_of_memory
from ifc_bench.measuring.own_footprints import own_action, predict_own
from ifc_bench.measuring.speed import DTYPES
from ifc_bench.measuring.steady_tracker import FakeTracker, SteadyTracker
from ifc_bench.measuring.subject import random_network
from ifc_bench.measuring.two_steps import moments, train_twice
from ifc_bench.models.arithmetic import arithmetic
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, FootprintResult, Record, Status
from ifc_bench.store import Store
from ifc_bench.structures import Track
from ifc_bench.tracking import ClipTracker, track_video

Progress = Callable[[int, int], None]  # done, total
_CPU = torch.device("cpu")


class _NoTracker(ClipTracker):
    """Discards the windows, as the predictions of version 1 did."""

    def update(
        self, frame_indices: object, class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        return []

    def tracks(self) -> list[Track]:
        return []


def predict_footprint(work: Footprint) -> FootprintResult:
    """Predict the peak of an allocator, without allocating memory."""
    # It raises its errors, and logs a traceback of each as well.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    if isinstance(work.model, OwnNetwork):
        return predict_own(work, work.model, partial(fake_arithmetic, work))
    with FakeTensorMode():
        network = _fake_network(work.model)
        live = LiveBytes()
        for tensor in (*network.parameters(), *network.buffers()):
            live.hold(tensor)
        weights = live.live
        if work.purpose == "inference":
            clip = torch.empty(work.video_shape, dtype=torch.uint8)
            with live:
                _infer(network.eval(), clip, work, _fake_tracker(work), fake_arithmetic(work))
        else:
            with live:
                train_twice(network.train(), work, _CPU, partial(fake_arithmetic, work), moments)
    return FootprintResult(weights_bytes=weights, peak_bytes=live.peak.bytes, at=live.peak.at)


def measure_footprint(work: Footprint, device: str) -> FootprintResult:
    """Measure the peak of torch's allocations on `device`; run it in a fresh process."""
    torch_device = torch.device(device)
    torch.set_num_threads(work.threads)
    weights = 0
    try:
        action, weights, given = _real_action(work, torch_device)
        peak = _peak(torch_device, action, weights, given)
        return FootprintResult(weights_bytes=weights, peak_bytes=peak)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return FootprintResult(
            weights_bytes=weights, peak_bytes=None, asked_bytes=asked_bytes(error)
        )


def _real_action(work: Footprint, device: torch.device) -> tuple[Callable[[], None], int, int]:
    """Return the function to measure, and the bytes of the network and of what it is given."""
    if isinstance(work.model, OwnNetwork):
        return own_action(work, work.model, device)
    if work.purpose == "training":
        network = build_model(work.model).to(device).to(memory_format=torch.channels_last).train()
        precision = partial(arithmetic, device, work.precision)
        action = partial(train_twice, network, work, device, precision, None)
        return action, network_bytes(network), 0
    clip = torch.randint(0, 256, work.video_shape, dtype=torch.uint8)
    weights = RandomWeights(model=work.model, instances=work.instances)
    network = random_network(weights, device, clip[: work.frames].to(device))
    network = network.to(memory_format=torch.channels_last)
    size = (work.height, work.width)
    tracker = ClipTracker(size) if work.version == 1 else SteadyTracker(size, work.stride)
    action = partial(_infer, network, clip, work, tracker, arithmetic(device, work.precision))
    return action, network_bytes(network), 0


def fake_arithmetic(work: Footprint) -> AbstractContextManager[object]:
    """Automatic mixed precision on fake tensors, which are on the CPU, by the allocator's list."""
    if work.allocator == "cpu" or work.precision in ("fp32", "tf32"):
        return arithmetic(_CPU, work.precision)
    return cuda_autocast(DTYPES[work.precision])


def _fake_tracker(work: Footprint) -> ClipTracker:
    size = (work.height, work.width)
    if work.version == 1:
        return _NoTracker(size)
    return FakeTracker(size, work.stride, work.instances, on_gpu=work.allocator == "cuda")


def _peak(device: torch.device, action: Callable[[], None], weights: int, given: int) -> int:
    """Run `action` and return torch's peak allocation in bytes: with `weights`, without `given`."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        action()
        return int(torch.cuda.max_memory_allocated(device)) - given
    _, peaks = cpu_peaks(device, lambda watch: action())
    return weights + max(peaks.values())


def _infer(
    network: IFC,
    clip: Tensor,
    work: Footprint,
    tracker: ClipTracker,
    context: AbstractContextManager[object],
) -> None:
    with context:
        track_video(
            network,
            lambda i: clip[i],
            len(clip),
            tracker,
            work.frames,
            work.stride,
            together=work.frames if work.allocator == "cuda" else None,
        )


def _fake_network(model: ModelConfig) -> IFC:
    """Build the network under fake tensors, with weights in channels-last order.

    The CPU's fused kernel replaces the GPU's: both keep only the output and the row sums. The CPU
    kernel has no dropout, so dropout is off; the GPU kernel keeps only a seed for it.
    """
    fused = model.attention in ("efficient", "flash")
    changes = {"attention": "flash"} if fused else {}
    network = build_model(model.model_copy(update=changes))
    for module in network.modules():
        if fused and isinstance(module, MultiHeadAttention):
            module.dropout = 0.0
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.dim() == 4:
                laid = parameter.detach().contiguous(memory_format=torch.channels_last)
                setattr(module, name, nn.Parameter(laid, parameter.requires_grad))
    return network


def predict_all(works: Sequence[Footprint], store: Store, progress: Progress) -> list[Record]:
    """Return the record of each prediction; missing ones are computed and saved."""
    records = []
    for done, work in enumerate(works):
        progress(done, len(works))
        record = store.load(work)
        records.append(record or _save(work, predict_footprint(work), "cpu", store))
    return records


def check_all(
    works: Sequence[Footprint],
    store: Store,
    device: str,
    described: Device,
    progress: Progress,
) -> list[tuple[Record, Record]]:
    """Return the records of each prediction and its measurement, made in a fresh process.

    Raises:
        UserError: if a measurement failed for a reason other than lack of memory.
    """
    here = on_this_allocator(works, described)
    predicted = predict_all(here, store, lambda done, total: None)
    pairs = []
    for done, (work, prediction) in enumerate(zip(here, predicted, strict=True)):
        progress(done, len(here))
        real = work.model_copy(update={"measured_on": described.name})
        record = store.load(real)
        if record is None or not store.done(real):
            with measuring(lambda: None):
                answer = in_process(measure_footprint, real, device)
            if isinstance(answer, Died):
                raise UserError(f"{real.id}: {answer.message.strip().splitlines()[-1]}")
            record = _save(real, answer, device, store)
        pairs.append((prediction, record))
    return pairs


def on_this_allocator(works: Sequence[Footprint], device: Device) -> list[Footprint]:
    """Adapt the works to the allocator of `device`.

    The CPU's only fused kernel is called flash. It has no dropout, so it cannot train.
    """
    if device.kind == "cuda":
        return list(works)
    adapted = []
    for work in works:
        model = work.model
        if isinstance(model, ModelConfig) and model.attention == "efficient":
            model = model.model_copy(update={"attention": "flash"})
        if model.attention == "flash" and work.purpose == "training":
            continue
        changes = {"model": model, "allocator": "cpu", "threads": device.threads or 1}
        adapted.append(work.model_copy(update=changes))
    return list(dict.fromkeys(adapted))


def _save(work: Footprint, result: FootprintResult, device: str, store: Store) -> Record:
    known = result.peak_bytes is not None or result.not_predicted is not None
    status: Status = "ok" if known else "out_of_memory"
    record = Record.of(work, provenance(device, work.threads), result, status=status)
    store.save(record)
    return record
