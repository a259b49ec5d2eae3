"""Draws strips and GIFs of chosen videos, for `visualize`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import Video
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack, read_predictions
from ifc_bench.pictures.strips import Instance, Source, animate, coloured_alike, save, strip


@dataclass(frozen=True)
class Choice:
    """Selection of what to draw: videos by id or situation, the minimum score, and GIFs.

    A strip shows the frames in `frames`; if None, `columns` evenly spaced frames.
    """

    videos: list[int] | None
    situation: str | None
    columns: int
    frames: list[int] | None
    threshold: float
    gif: bool


def draw_strips(
    data: VideoDataset, out: Path, predictions: Mapping[str, Path], choice: Choice
) -> Iterator[Path]:
    """Write a strip for each chosen video (and a GIF), in a directory for its situation.

    Raises:
        UserError: if a video or a situation does not exist.
    """
    names = {category.id: category.name for category in data.instances.categories}
    found = {label: read_predictions(p, data.instances) for label, p in predictions.items()}
    for video in _chosen(data, choice):
        truth = [
            Instance(annotation.rles, names[annotation.category_id])
            for annotation in data.instances.annotations
            if annotation.video_id == video.id
        ]
        sources = [Source("ground truth", truth)] if truth else []
        sources += [
            Source(label, coloured_alike(_best(tracks, video.id, choice.threshold, names), truth))
            for label, tracks in found.items()
        ]
        if not sources:
            raise UserError(
                f"{data.files.annotations}: has no ground truth; give --predictions to draw"
            )
        indices = _frames(choice, video)
        folder = out / video.situation if video.situation else out
        picked = data.frames(video, indices).permute(0, 2, 3, 1).numpy()
        tagged = f" ({video.situation.replace('_', ' ')})" if video.situation else ""
        path = folder / f"video-{video.id}.png"
        save(strip(picked, indices, sources, f"video {video.id}{tagged}"), path)
        yield path
        if choice.gif:
            everything = data.frames(video, list(range(video.length)))
            moving = folder / f"video-{video.id}.gif"
            animate(everything.permute(0, 2, 3, 1).numpy(), sources, moving)
            yield moving


def _frames(choice: Choice, video: Video) -> list[int]:
    if choice.frames is None:
        count = min(choice.columns, video.length)
        return [round(i * (video.length - 1) / max(count - 1, 1)) for i in range(count)]
    for index in choice.frames:
        if index >= video.length:
            raise UserError(
                f"--frame: {index} is not in video {video.id}, whose last is {video.length - 1}"
            )
    return choice.frames


def video_of(data: VideoDataset, number: int) -> Video:
    """Return the video with the id `number`.

    Raises:
        UserError: if there is no such video.
    """
    known = {video.id: video for video in data.videos}
    if number not in known:
        raise UserError(f"--video: {number} is not among {', '.join(map(str, known))}")
    return known[number]


def _chosen(data: VideoDataset, choice: Choice) -> list[Video]:
    numbers = choice.videos or [video.id for video in data.videos]
    chosen = [video_of(data, number) for number in numbers]
    if choice.situation is None:
        return chosen
    situations = sorted({video.situation for video in data.videos if video.situation})
    if choice.situation not in situations:
        there = ", ".join(situations) or "none"
        raise UserError(f"--situation: {choice.situation!r} is not in the data, which has: {there}")
    return [video for video in chosen if video.situation == choice.situation]


def _best(
    tracks: list[PredictedTrack], video: int, threshold: float, names: Mapping[int, str]
) -> list[Instance]:
    """Return the tracks of one video above `threshold`, each mask tube once, at its best class."""
    kept: dict[str, PredictedTrack] = {}
    for track in tracks:
        if track.video_id == video and track.score >= threshold:
            key = str(track.rles)
            if key not in kept or kept[key].score < track.score:
                kept[key] = track
    return [
        Instance(track.rles, names[track.category_id], track.score)
        for track in sorted(kept.values(), key=lambda t: -t.score)
    ]
