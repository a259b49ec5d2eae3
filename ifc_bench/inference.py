"""Runs a trained model over a split; saves tracks in the results format after every video."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from torch import Tensor

from ifc_bench.config import Testing, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import Video
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack
from ifc_bench.file_io import partial_path, refuse_special, write_text
from ifc_bench.models.arithmetic import arithmetic, settle_tf32
from ifc_bench.models.checkpoint import load_released_checkpoint
from ifc_bench.models.compilation import compiled
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import inference_form
from ifc_bench.models.knock_out import isolated
from ifc_bench.models.own import own_module
from ifc_bench.store import Store
from ifc_bench.structures import Track
from ifc_bench.tracking import ClipTracker, Tracking, track_in_one_pass
from ifc_bench.training.checkpoint import kept_model, trained_model

How = TypeVar("How", bound=Testing)

# Windows are decoded together up to 40 frames of 64x96, the embedded benchmark's; one window of
# real videos has more, and is decoded alone.
_DECODED_PIXELS = 40 * 64 * 96


@dataclass(frozen=True)
class Predictions:
    """Scored tracks in the results format, the number of raw tracks, and the time taken."""

    tracks: list[PredictedTrack]
    count: int
    seconds: float


def load_model(
    store: Store,
    training: str | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
    own: Sequence[str] = (),
) -> IFC:
    """Load the model of a training run, by its id, or of a released checkpoint, for inference.

    Without the checkpoint of a training run, its weights in half precision are taken where the
    records have them (`keep`). `own` names the user's modules, "package.module:Class", that may be
    imported.

    Raises:
        UserError: if both or neither are given, the training run or file does not exist, or the
            training run uses a module that `own` does not name.
    """
    if (checkpoint is None) == (training is None):
        raise UserError("--checkpoint, --training: give exactly one of the two")
    if checkpoint is not None:
        model = inference_form(load_released_checkpoint(checkpoint).to(device))
        return model.to(memory_format=torch.channels_last)
    for source in own:
        own_module(source)
    record = store.named("training", training or "")
    if record is None or not isinstance(record.work, Training):
        raise UserError(f"--training: {str(training)[:60]!r} has no record under {store.results}")
    whole, kept = store.checkpoint_path(record.work), store.kept_weights(record.work)
    if kept is not None and not whole.exists():
        return kept_model(kept, record.work, device)
    return trained_model(whole, record.work, device)


def predict(
    model: IFC,
    data: VideoDataset,
    how: Testing,
    tell: Callable[[int, int], None] | None = None,
    kept: Partial | None = None,
) -> Predictions:
    """Run `model` over every video of `data`, except those `kept` from an earlier run.

    TF32 is then on or off in the whole process, as the precision of `how` says.

    Raises:
        UserError: if a video is shorter than the window and `how` refuses such videos.
    """
    [found] = predict_in_one_pass(model, data, [how], tell, None if kept is None else [kept])
    return found


def predict_in_one_pass(
    model: IFC,
    data: VideoDataset,
    hows: Sequence[Testing],
    tell: Callable[[int, int], None] | None = None,
    kept: Sequence[Partial] | None = None,
) -> list[Predictions]:
    """Predict in several ways of testing that share each frame's features, as `predict` does.

    The ways have the same `size`, `isolated`, `precision`, `compiled`, `data` and `weights` (see
    `one_pass`). Each gets an equal part of the time. `kept` has one for each way.

    Raises:
        UserError: if a video is shorter than the window of a way that refuses such videos.
    """
    for how in hows:
        _refuse_short(data, how)
    begun = time.monotonic()
    earlier = [0.0] * len(hows)  # seconds of the videos from an earlier run
    found: list[list[PredictedTrack]] = [[] for _ in hows]
    totals = [0] * len(hows)
    with _set_up(model, hows[0]):
        for done, video in enumerate(data.videos, 1):
            if kept is not None and all(video.id in one.tracks for one in kept):
                written = [one.tracks[video.id] for one in kept]
                counts = [one.counts[video.id] for one in kept]
                earlier = [s + k.seconds[video.id] for s, k in zip(earlier, kept, strict=True)]
            else:
                started = time.monotonic()
                written, counts = _entries_of(model, data, video, hows)
                taken = (time.monotonic() - started) / len(hows)
                for one, count, entries in zip(kept or (), counts, written, strict=bool(kept)):
                    one.add(video.id, count, entries, taken)
            for place, (entries, count) in enumerate(zip(written, counts, strict=True)):
                found[place] += entries
                totals[place] += count
            if tell:
                tell(done, len(data.videos))
    seconds = (time.monotonic() - begun) / len(hows)
    return [
        Predictions(tracks, total, seconds + before)
        for tracks, total, before in zip(found, totals, earlier, strict=True)
    ]


def one_pass(hows: Sequence[How]) -> list[list[How]]:
    """Group ways of testing that can share one pass over the videos, in their order."""
    groups: dict[tuple[object, ...], list[How]] = {}
    for how in hows:
        shared = (how.size, how.isolated, how.precision, how.compiled, how.data, how.weights)
        groups.setdefault(shared, []).append(how)
    return list(groups.values())


def tracks_of(
    model: IFC, data: VideoDataset, video: Video, hows: Sequence[Testing]
) -> list[list[Track]]:
    """Track the instances of one video in each way of testing, in their precision."""
    size = (video.height, video.width)
    ways = [Tracking(ClipTracker(size, h.match_threshold), h.window, h.stride) for h in hows]
    # Frames that are resized are those of real videos.
    decoded = 0 if hows[0].size else _DECODED_PIXELS // (video.height * video.width)

    def read(indices: list[int]) -> Tensor:
        return data.frames(video, indices, hows[0].size)

    with arithmetic(next(model.parameters()).device, hows[0].precision):
        return track_in_one_pass(model, read, video.length, ways, decoded=decoded)


def _entries_of(
    model: IFC, data: VideoDataset, video: Video, hows: Sequence[Testing]
) -> tuple[list[list[PredictedTrack]], list[int]]:
    """Track one video; the scored tracks and the number of raw tracks of each way of testing."""
    tracks = tracks_of(model, data, video, hows)
    written = [
        scored(some, video.id, data.category_ids, how.score_threshold, how.protocol == "image")
        for some, how in zip(tracks, hows, strict=True)
    ]
    return written, [len(some) for some in tracks]


@contextmanager
def _set_up(model: IFC, how: Testing) -> Iterator[None]:
    """Have `model` run as `how` says over all videos; its precision is set for each of them."""
    settle_tf32(how.precision)
    with ExitStack() as stack:
        if how.isolated:
            stack.enter_context(isolated(model))
        if how.compiled:
            stack.enter_context(compiled(model))
        yield


def _refuse_short(data: VideoDataset, how: Testing) -> None:
    for video in data.videos:
        if how.short_videos == "refuse" and how.window and video.length < how.window:
            raise UserError(
                f"{data.files.annotations}: video {video.id}: has {video.length} frames, "
                f"the window is T = {how.window}; choose T <= {video.length}, or set "
                "short_videos to 'shrink'"
            )


def scored(
    tracks: list[Track],
    video: int,
    category_ids: list[int],
    threshold: float,
    best_class: bool = False,
) -> list[PredictedTrack]:
    """Return every (track, class) with a probability above `threshold`, as the released code does.

    `best_class` keeps only the best class of each instance, as the released code does for images.
    """
    found = []
    for track in tracks:
        scores = track.class_probabilities[:-1].tolist()
        best = max(scores)
        for category, score in zip(category_ids, scores, strict=True):
            if score > threshold and not (best_class and score < best):
                found.append(PredictedTrack(video, category, score, track.segmentations))
    return found


def results_json(predictions: Predictions) -> str:
    """Format predictions as the text of a results.json."""
    return json.dumps([track.entry() for track in predictions.tracks])


class _Finished(msgspec.Struct):
    video: int
    count: int
    seconds: float
    tracks: list[PredictedTrack]


class Partial:
    """Partial results: a line that identifies the request, then one JSON line per finished video.

    A file of another request is ignored, and so are a truncated or damaged line and all lines
    after it.

    Raises:
        OSError: if it cannot be read or written (a full disk included), or `out` is a device or
            a directory; the error names the file.
    """

    def __init__(self, out: Path, request: str) -> None:
        refuse_special(out)
        self.path = partial_path(out)
        self.tracks: dict[int, list[PredictedTrack]] = {}
        self.counts: dict[int, int] = {}
        self.seconds: dict[int, float] = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        *whole, _ = content.split(b"\n")  # text after the last newline is a truncated line
        kept: list[str] = []
        for line in whole[1:] if whole[:1] == [request.encode()] else []:
            try:
                text = line.decode("utf-8")
                finished = msgspec.json.decode(text, type=_Finished)
            except (msgspec.DecodeError, ValueError, RecursionError):
                break
            kept.append(text)
            self.tracks[finished.video] = finished.tracks
            self.counts[finished.video] = finished.count
            self.seconds[finished.video] = finished.seconds
        write_text(self.path, "".join(f"{line}\n" for line in [request, *kept]))

    def add(self, video: int, count: int, tracks: list[PredictedTrack], seconds: float) -> None:
        """Append the tracks of one video, which took so many seconds."""
        self.tracks[video], self.counts[video] = tracks, count
        self.seconds[video] = seconds
        plain = [track.entry() for track in tracks]
        line = json.dumps({"tracks": plain, "video": video, "count": count, "seconds": seconds})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *error: object) -> None:
        """Delete the file unless it holds a finished video."""
        if not self.tracks:
            self.done()

    def done(self) -> None:
        """Delete the file, because the results file is complete."""
        self.path.unlink(missing_ok=True)
