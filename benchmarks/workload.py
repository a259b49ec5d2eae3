"""Synthetic ground truth and predictions in the YouTube-VIS format, for timing evaluators.

Every instance is a blob that moves and breathes; its outline is drawn anew in each frame, so no two
masks are equal. The numbers say nothing about any model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ifc_bench.masks import Rle, areas, compress

Motion = tuple[
    np.ndarray, np.ndarray
]  # centres [L, 2] and half axes [L, 2], pixels as (row, column)


@dataclass(frozen=True)
class Workload:
    """A size of data; `truths` and `predictions` are those of one video."""

    classes: int
    videos: int = 50
    frames: int = 30
    height: int = 360
    width: int = 640
    truths: int = 4
    predictions: int = 100
    seed: int = 0


def write(work: Workload, folder: Path) -> tuple[Path, Path]:
    """Write truth.json and results.json of `work` under `folder`, and give their paths."""
    rng = np.random.default_rng(work.seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for video in range(1, work.videos + 1):
        truths = [_motion(work, rng) for _ in range(work.truths)]
        labels = rng.integers(1, work.classes + 1, work.truths).tolist()
        for motion, label in zip(truths, labels, strict=True):
            annotations.append(_annotation(len(annotations) + 1, video, label, work, motion, rng))
        for _ in range(work.predictions):
            results.append(_prediction(video, truths, work, rng))
    folder.mkdir(parents=True, exist_ok=True)
    truth, found = folder / "truth.json", folder / "results.json"
    truth.write_text(json.dumps({**_listing(work), "annotations": annotations}))
    found.write_text(json.dumps(results))
    return truth, found


def _listing(work: Workload) -> dict[str, Any]:
    size = {"height": work.height, "width": work.width, "length": work.frames}
    return {
        "videos": [
            {"id": v, **size, "file_names": [f"{v}/{f}.jpg" for f in range(work.frames)]}
            for v in range(1, work.videos + 1)
        ],
        "categories": [{"id": c, "name": f"class {c}"} for c in range(1, work.classes + 1)],
    }


def _motion(work: Workload, rng: np.random.Generator) -> Motion:
    """A path across the frame, and a size that changes along it."""
    extent = np.array([work.height, work.width])
    time = np.linspace(0, 1, work.frames)[:, None]
    start, end = rng.uniform(0.2, 0.8, (2, 2)) * extent
    half = rng.uniform((0.08, 0.05), (0.25, 0.14)) * extent
    return start + (end - start) * time, half * (1 + 0.2 * np.sin(6 * time + rng.uniform(0, 6)))


def _annotation(
    number: int, video: int, label: int, work: Workload, motion: Motion, rng: np.random.Generator
) -> dict[str, Any]:
    tube = _tube(work, motion, rng)
    return {
        "id": number,
        "video_id": video,
        "category_id": label,
        "iscrowd": 0,
        "segmentations": tube,
        "areas": [size or None for size in areas(tube).tolist()],
        "bboxes": [None] * work.frames,
    }


def _prediction(
    video: int, truths: list[Motion], work: Workload, rng: np.random.Generator
) -> dict[str, Any]:
    """Most follow an instance, closely or loosely; the class is any, as in files of low scores."""
    motion = _motion(work, rng)
    if rng.random() < 0.7:
        centres, half = truths[rng.integers(len(truths))]
        motion = centres + rng.normal(0, 0.1, 2) * half, half * rng.uniform(0.8, 1.25, 2)
    return {
        "video_id": video,
        "category_id": int(rng.integers(1, work.classes + 1)),
        "score": float(rng.random()),
        "segmentations": _tube(work, motion, rng),
    }


def _tube(work: Workload, motion: Motion, rng: np.random.Generator) -> list[Rle | None]:
    """A mask for each frame, or None: now and then an instance is hidden."""
    hidden = rng.random(work.frames) < 0.05
    return [
        None if gone else _blob(work, centre, half, rng)
        for gone, centre, half in zip(hidden, *motion, strict=True)
    ]


def _blob(
    work: Workload, centre: np.ndarray, half: np.ndarray, rng: np.random.Generator
) -> Rle | None:
    """An ellipse with a ragged edge, as run lengths down the columns."""
    low, high = max(0, int(centre[1] - half[1])), min(work.width, int(centre[1] + half[1]) + 1)
    columns = np.arange(low, high)
    tall = half[0] * np.sqrt(np.clip(1 - ((columns - centre[1]) / half[1]) ** 2, 0, 1))
    ragged = rng.integers(-2, 3, (2, len(columns)))
    top = np.clip(centre[0] - tall + ragged[0], 0, work.height - 2).astype(int)
    bottom = np.clip(centre[0] + tall + ragged[1], top + 1, work.height - 1).astype(int)
    if not len(columns):
        return None
    edges = np.stack([top, bottom], 1) + columns[:, None] * work.height
    runs = np.diff(edges.ravel(), prepend=0, append=work.height * work.width)
    return compress([work.height, work.width], runs.tolist())
