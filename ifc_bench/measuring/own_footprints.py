"""Peak memory of a network that a user brings: predicted on fake tensors, or measured.

As in a profile, the whole clip of every window passes the network, and the tracker is given
`instances` tracks on the grid of its masks. Training is not predicted: its losses are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.config import Footprint, OwnNetwork
from ifc_bench.errors import UserError
from ifc_bench.measuring.equal_work import RecordedInstances
from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.memory import network_bytes
from ifc_bench.measuring.own_network import answer_of, build_own, first_line, lay_out, refuse_fault
from ifc_bench.measuring.speed import DTYPES
from ifc_bench.measuring.steady_tracker import FakeTracker, SteadyTracker
from ifc_bench.models.arithmetic import arithmetic
from ifc_bench.records import FootprintResult
from ifc_bench.tracking.clip_tracker import ClipTracker
from ifc_bench.tracking.video import Tracking
from ifc_bench.tracking.whole_clips import Answer, track_whole_clips

_Unanswered = (  # an operation whose result depends on the content of its tensors
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
)


class _GivenTracker(SteadyTracker):
    """A tracker that is given the recorded instances, whatever the network answers."""

    def __init__(self, work: Footprint, recorded: RecordedInstances) -> None:
        super().__init__((work.height, work.width), work.stride)
        self._recorded, self._length = recorded, work.video_shape[0]

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        assert isinstance(frame_indices, range)
        given = self._recorded.window(frame_indices, self._length, mask_logits)
        return super().update(frame_indices, *given)


class _AssumedTracker(FakeTracker):
    """The same on fake tensors: as many instances, by views of the network's first."""

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        given = (_as_many(answer, self.instances) for answer in (class_probabilities, mask_logits))
        return super().update(frame_indices, *given)


def _as_many(values: Tensor, count: int) -> Tensor:
    one = values[:1] if len(values) else values.new_zeros(1, *values.shape[1:])
    return one.expand(count, *values.shape[1:])


def predict_own(
    work: Footprint, own: OwnNetwork, context: Callable[[], AbstractContextManager[object]]
) -> FootprintResult:
    """Predict the peak; a result without one where the network reads the values of tensors.

    `context` is the arithmetic on fake tensors. The network is built in memory, because its code
    may read values then.

    Raises:
        UserError: as for a profile, if the network cannot be built or its answer has another form.
    """
    network = lay_out(build_own(own, work.height, work.width), channels_last=True)
    # What is no parameter or buffer, such as a tensor in a list, becomes fake at its first use.
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        network._apply(fake.from_tensor)
        live = LiveBytes()
        for tensor in (*network.parameters(), *network.buffers()):
            live.hold(tensor)
        weights = live.live
        size, on_gpu = (work.height, work.width), work.allocator == "cuda"
        tracker = _AssumedTracker(size, work.stride, own.instances, on_gpu)
        clip = torch.empty(work.video_shape, dtype=torch.uint8)

        def answer(frames: Tensor) -> tuple[Tensor, Tensor]:
            found: tuple[Tensor, Tensor] = network(frames)
            refuse_fault(own, found, frames)
            return found

        try:
            with live, context():
                _track(answer, clip, work, tracker)
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # of the user's code, or no fake form
            reason = first_line(error)
            if isinstance(error, _Unanswered):
                reason = f"{error.func.name()} cannot run without the values of its tensors"
            return FootprintResult(weights_bytes=weights, peak_bytes=None, not_predicted=reason)
    return FootprintResult(weights_bytes=weights, peak_bytes=live.peak.bytes, at=live.peak.at)


def own_action(
    work: Footprint, own: OwnNetwork, device: torch.device
) -> tuple[Callable[[], None], int, int]:
    """Return the function to measure, and the bytes of the network and of the recorded tracks.

    Raises:
        UserError: if the network cannot be built, or does not answer in the form of the protocol.
    """
    clip = torch.randint(0, 256, work.video_shape, dtype=torch.uint8)
    network: nn.Module = lay_out(build_own(own, work.height, work.width).to(device), True)
    recorded = RecordedInstances(own.instances, own.classes, DTYPES[work.precision])
    tracker = _GivenTracker(work, recorded)

    def answer(frames: Tensor) -> tuple[Tensor, Tensor]:
        return answer_of(own, network, frames.to(device))

    with arithmetic(device, work.precision), torch.inference_mode():
        first = answer(clip[: work.frames])[1]  # it draws the tracks, and makes workspaces
        recorded.window(range(work.frames), len(clip), first)

    def action() -> None:
        with arithmetic(device, work.precision):
            _track(answer, clip, work, tracker)

    return action, network_bytes(network), recorded.bytes_on(device)


def _track(answer: Answer, clip: Tensor, work: Footprint, tracker: ClipTracker) -> None:
    way = Tracking(tracker, work.frames, work.stride)
    track_whole_clips(answer, lambda frames: clip[frames], len(clip), way)
