"""Peak memory of a clip: predicted on fake tensors, or measured on a device.

Both run the same real modules through the same windows, or the same training step; a prediction
only takes the tensors' content away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.config import Footprint, LossConfig, ModelConfig, RandomWeights
from ifc_bench.errors import UserError
from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.measuring.memory import asked_bytes, cpu_peaks, network_bytes, out_of_memory
from ifc_bench.measuring.subject import arithmetic, random_network
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import losses
from ifc_bench.models.ifc import IFC
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, FootprintResult, Record, Status
from ifc_bench.store import Store
from ifc_bench.structures import Target, Track
from ifc_bench.tracking import ClipTracker, track_video

Tell = Callable[[int, int], None]  # done, total
_CPU = torch.device("cpu")
_LOSS = LossConfig()


class _NoTracker(ClipTracker):
    """Takes windows and forgets them: what a tracker keeps is little, and depends on content."""

    def update(
        self, frame_indices: object, class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        return []

    def tracks(self) -> list[Track]:
        return []


def predict_footprint(work: Footprint) -> FootprintResult:
    """The peak that an allocator would reach, without allocating."""
    # It logs a traceback of every error that it raises as well.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    with FakeTensorMode():
        network = _fake_network(work.model)
        live = LiveBytes()
        for tensor in (*network.parameters(), *network.buffers()):
            live.hold(tensor)
        weights = live.live
        if work.purpose == "inference":
            clip = torch.empty(*_video_shape(work), dtype=torch.uint8)
            with live:
                _infer(network.eval(), clip, work, _NoTracker((work.height, work.width)))
        else:
            with live:
                _train_twice(network.train(), work, _CPU, _moments)
    return FootprintResult(weights_bytes=weights, peak_bytes=live.peak.bytes, at=live.peak.at)


def measure_footprint(work: Footprint, device: str) -> FootprintResult:
    """Measure the peak of torch's allocations on `device`; best in a process of its own."""
    place = torch.device(device)
    torch.set_num_threads(work.threads)
    weights = 0
    try:
        action, weights = _real_action(work, place)
        return FootprintResult(weights_bytes=weights, peak_bytes=_peak(place, action, weights))
    except Exception as error:
        if not out_of_memory(error):
            raise
        return FootprintResult(
            weights_bytes=weights, peak_bytes=None, asked_bytes=asked_bytes(error)
        )


def _real_action(work: Footprint, place: torch.device) -> tuple[Callable[[], None], int]:
    """What to measure, and the bytes of the network."""
    if work.purpose == "training":
        network = build_model(work.model).to(place).to(memory_format=torch.channels_last).train()
        return lambda: _train_twice(network, work, place, None), network_bytes(network)
    clip = torch.randint(0, 256, _video_shape(work), dtype=torch.uint8)
    weights = RandomWeights(model=work.model, instances=work.instances)
    network = random_network(weights, place, clip[: work.frames].to(place))
    network = network.to(memory_format=torch.channels_last)
    tracker = ClipTracker((work.height, work.width))
    return lambda: _infer(network, clip, work, tracker), network_bytes(network)


def _peak(place: torch.device, action: Callable[[], None], weights: int) -> int:
    """Bytes of torch's allocator at the peak, `weights` included."""
    if place.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(place)
        action()
        return int(torch.cuda.max_memory_allocated(place))
    _, peaks = cpu_peaks(place, lambda watch: action())
    return weights + max(peaks.values())


def _infer(network: IFC, clip: Tensor, work: Footprint, tracker: ClipTracker) -> None:
    device = next(network.parameters()).device
    with arithmetic(device, work.precision):
        track_video(network, lambda i: clip[i], len(clip), tracker, work.frames, work.stride)


def _train_twice(
    network: IFC,
    work: Footprint,
    place: torch.device,
    update: Callable[[list[nn.Parameter]], Callable[[], None]] | None,
) -> None:
    """Two steps, for the second has the optimiser's moments beside it."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if update is None:
        optimiser = torch.optim.AdamW(parameters)
        step = optimiser.step
    else:
        step = update(parameters)  # type: ignore[assignment]
    shape = (work.clips, work.frames, 3, work.height, work.width)
    stride = _LOSS.supervision_stride
    masks = (work.instances, work.frames, -(-work.height // stride), -(-work.width // stride))
    for _ in range(2):
        clips = torch.zeros(shape, dtype=torch.uint8, device=place)
        targets = [
            Target(
                torch.zeros(work.instances, dtype=torch.int64, device=place),
                torch.zeros(masks, device=place),
            )
            for _ in range(work.clips)
        ]
        with arithmetic(place, work.precision):
            prediction = network(clips)
        parts = losses(prediction, targets, _LOSS, assign=_in_order)
        for parameter in parameters:
            parameter.grad = None
        torch.stack(list(parts.values())).sum().backward()
        del prediction, parts
        nn.utils.clip_grad_norm_(parameters, 0.01)
        step()


def _moments(parameters: list[nn.Parameter]) -> Callable[[], None]:
    """AdamW's two moments; the real one reads its step count, which a fake tensor cannot tell."""
    held: list[Tensor] = []

    def step() -> None:
        if not held:
            held.extend(torch.zeros_like(p) for p in parameters for _ in range(2))

    return step


def _in_order(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs the first queries with the instances: which ones they are costs no memory."""
    pairs = torch.arange(min(similarity.shape), device=similarity.device)
    return pairs, pairs


def _video_shape(work: Footprint) -> tuple[int, int, int, int]:
    """Two windows: the second has the frames of the first beside it."""
    return (work.frames + work.stride, 3, work.height, work.width)


def _fake_network(model: ModelConfig) -> IFC:
    """Built under fake tensors, with weights in channels-last order.

    A processor's fused kernel stands for a card's, for both keep output and row sums alone; it
    knows no dropout, of which a card keeps no more than a seed.
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


def predict_all(works: Sequence[Footprint], store: Store, tell: Tell) -> list[Record]:
    """The record of each prediction, made where there is none."""
    records = []
    for done, work in enumerate(works):
        tell(done, len(works))
        record = store.load(work)
        records.append(record or _save(work, predict_footprint(work), "cpu", store))
    return records


def check_all(
    works: Sequence[Footprint],
    store: Store,
    device: str,
    described: Device,
    tell: Tell,
) -> list[tuple[Record, Record]]:
    """Prediction and measurement of each, every measurement in a process of its own.

    Raises:
        UserError: where a measurement failed for another reason than memory.
    """
    here = _on_this_allocator(works, described)
    predicted = predict_all(here, store, lambda done, total: None)
    pairs = []
    for done, (work, prediction) in enumerate(zip(here, predicted, strict=True)):
        tell(done, len(here))
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


def _on_this_allocator(works: Sequence[Footprint], device: Device) -> list[Footprint]:
    """The same for the allocator that is here.

    A processor's only fused kernel is called flash, and it knows no dropout, so no training.
    """
    if device.kind == "cuda":
        return list(works)
    found = []
    for work in works:
        model = work.model
        if model.attention == "efficient":
            model = model.model_copy(update={"attention": "flash"})
        if model.attention == "flash" and work.purpose == "training":
            continue
        changes = {"model": model, "allocator": "cpu", "threads": device.threads or 1}
        found.append(work.model_copy(update=changes))
    return list(dict.fromkeys(found))


def _save(work: Footprint, result: FootprintResult, device: str, store: Store) -> Record:
    status: Status = "ok" if result.peak_bytes is not None else "out_of_memory"
    record = Record.of(work, provenance(device, work.threads), result, status=status)
    store.save(record)
    return record
