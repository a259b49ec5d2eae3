"""A trained model over a split: tracks in the results format, kept video by video."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel

from ifc_bench.config import Testing, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import RawRle, Video
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack
from ifc_bench.file_io import refuse_special, write_text
from ifc_bench.models.checkpoint import load_released_checkpoint
from ifc_bench.models.ifc import IFC
from ifc_bench.models.knock_out import isolated
from ifc_bench.models.own import own_module
from ifc_bench.store import Store
from ifc_bench.structures import Track
from ifc_bench.tracking import ClipTracker, track_video
from ifc_bench.training.trainer import trained_model


@dataclass(frozen=True)
class Predictions:
    """Scored tubes, the number of tracks behind them, and the time it took."""

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
    """The model of a training run, by its id, or of a released checkpoint.

    `own` are the modules of the user's own, "package.module:Class", that may be imported.

    Raises:
        UserError: where both or none are given, or what is named is not there, or the training has
            a module of the user's own that is not named.
    """
    if (checkpoint is None) == (training is None):
        raise UserError("--checkpoint, --training: exactly one of the two says which model")
    if checkpoint is not None:
        model = load_released_checkpoint(checkpoint).to(device)
        return model.to(memory_format=torch.channels_last)
    for source in own:
        own_module(source)
    record = store.named("training", training or "")
    if record is None or not isinstance(record.work, Training):
        raise UserError(f"--training: {str(training)[:60]!r} has no record under {store.results}")
    return trained_model(store.checkpoint_path(record.work), record.work, device)


def predict(
    model: IFC,
    data: VideoDataset,
    how: Testing,
    tell: Callable[[int, int], None] | None = None,
    kept: Partial | None = None,
) -> Predictions:
    """Run `model` over every video of `data`, but those that are `kept` from an earlier try.

    Raises:
        UserError: where a video is shorter than the window and `how` refuses such videos.
    """
    for video in data.videos:
        if how.short_videos == "refuse" and how.window and video.length < how.window:
            raise UserError(
                f"{data.files.annotations}: video {video.id}: has {video.length} frames, "
                f"the window is T = {how.window}; ask for T <= {video.length}, or set "
                "short_videos to 'shrink'"
            )
    begun = time.monotonic()
    found: list[PredictedTrack] = []
    total = 0
    for done, video in enumerate(data.videos, 1):
        if kept is not None and video.id in kept.tracks:
            written, count = kept.tracks[video.id], kept.counts[video.id]
        else:
            tracks = tracks_of(model, data, video, how)
            best = how.protocol == "image"
            written = scored(tracks, video.id, data.category_ids, how.score_threshold, best)
            count = len(tracks)
            if kept is not None:
                kept.add(video.id, count, written)
        found += written
        total += count
        if tell:
            tell(done, len(data.videos))
    return Predictions(found, total, time.monotonic() - begun)


def tracks_of(model: IFC, data: VideoDataset, video: Video, how: Testing) -> list[Track]:
    """The tracks of one video."""
    tracker = ClipTracker((video.height, video.width), how.match_threshold)
    with isolated(model) if how.isolated else nullcontext():
        return track_video(
            model,
            lambda indices: data.frames(video, indices, how.size),
            video.length,
            tracker,
            how.window,
            how.stride,
        )


def scored(
    tracks: list[Track],
    video: int,
    category_ids: list[int],
    threshold: float,
    best_class: bool = False,
) -> list[PredictedTrack]:
    """Every (track, class) whose probability exceeds `threshold`, as the released code gives.

    For images the released code gives each instance its `best_class` alone.
    """
    found = []
    for track in tracks:
        masks = [None if rle is None else RawRle.model_validate(rle) for rle in track.segmentations]
        scores = track.class_probabilities[:-1].tolist()
        best = max(scores)
        for category, score in zip(category_ids, scores, strict=True):
            if score > threshold and not (best_class and score < best):
                found.append(
                    PredictedTrack.model_construct(
                        video_id=video, category_id=category, score=score, segmentations=masks
                    )
                )
    return found


def results_json(predictions: Predictions) -> str:
    """The text of a results.json."""
    return json.dumps([track.model_dump(mode="json") for track in predictions.tracks])


class _Finished(BaseModel):
    video: int
    count: int
    tracks: list[PredictedTrack]


class Partial:
    """One line of JSON for each finished video, after a line that says what was asked for.

    A file of another request is left out of account, and so are a line that was cut off or damaged
    and those after it.

    Raises:
        OSError: where it cannot be read or written, also for want of space, or `out` is a device or
            a folder; it names the file.
    """

    def __init__(self, out: Path, request: str) -> None:
        refuse_special(out)
        self.path = out.with_name(f".{out.name}.partial")
        self.tracks: dict[int, list[PredictedTrack]] = {}
        self.counts: dict[int, int] = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        *whole, _ = content.split(b"\n")  # what follows the last end of line was cut off
        kept: list[str] = []
        for line in whole[1:] if whole[:1] == [request.encode()] else []:
            try:
                text = line.decode("utf-8")
                finished = _Finished.model_validate(json.loads(text))
            except (ValueError, RecursionError):
                break
            kept.append(text)
            self.tracks[finished.video] = finished.tracks
            self.counts[finished.video] = finished.count
        write_text(self.path, "".join(f"{line}\n" for line in [request, *kept]))

    def add(self, video: int, count: int, tracks: list[PredictedTrack]) -> None:
        """Keep what was found in one video."""
        self.tracks[video], self.counts[video] = tracks, count
        plain = [track.model_dump(mode="json") for track in tracks]
        line = json.dumps({"tracks": plain, "video": video, "count": count})
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
        """Leave a file only where it holds what need not be done again."""
        if not self.tracks:
            self.done()

    def done(self) -> None:
        """The results file is whole."""
        self.path.unlink(missing_ok=True)
