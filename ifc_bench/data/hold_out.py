"""Holds out whole videos of a training set, so that AP can be computed locally.

The validation annotations of YouTube-VIS and OVIS are not public, and the evaluation servers are
closed. A held-out part of the training set is the only way to compute AP.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.json_files import read_json
from ifc_bench.errors import UserError


def split_videos(path: Path, share: float, seed: int) -> dict[str, str]:
    """Split the annotation file `path`; returns the texts of the files "train" and "valid".

    `share` of the videos goes to "valid", chosen video by video so that each class comes close to
    its share of instances, rare classes first. The same seed gives the same split.

    Raises:
        UserError: if the annotations are invalid or one side would be empty.
    """
    if not 0 < share < 1:
        raise UserError(f"--share: {share} is not between 0 and 1")
    instances = read_instances(path)
    content = read_json(path)
    video_field, owner = ("videos", "video_id") if "videos" in content else ("images", "image_id")
    classes: dict[int, Counter[int]] = {video.id: Counter() for video in instances.videos}
    for annotation in instances.annotations:
        classes[annotation.video_id][annotation.category_id] += 1
    held = _choose(classes, share, np.random.default_rng(seed))
    if not held or len(held) == len(classes):
        raise UserError(
            f"{path}: its {len(classes)} videos cannot be split by --share {share}; both parts "
            "need a video"
        )
    return {
        part: json.dumps(_only(content, video_field, owner, chosen))
        for part, chosen in (("train", classes.keys() - held), ("valid", held))
    }


def _only(content: Any, video_field: str, owner: str, chosen: set[int]) -> dict[str, Any]:
    return {
        **content,
        video_field: [v for v in content[video_field] if v["id"] in chosen],
        "annotations": [a for a in content["annotations"] if a[owner] in chosen],
    }


def _choose(classes: dict[int, Counter[int]], share: float, rng: np.random.Generator) -> set[int]:
    """Choose the videos to hold out: fill each class up to its share, the rarest class first."""
    total: Counter[int] = Counter()
    for counts in classes.values():
        total.update(counts)
    wanted = max(1, round(share * len(classes)))
    order = [list(classes)[i] for i in rng.permutation(len(classes))]
    held: set[int] = set()
    have: Counter[int] = Counter()
    for category in sorted(total, key=lambda c: (total[c], c)):
        for video in order:
            if have[category] + 0.5 > share * total[category] or len(held) >= wanted:
                break
            if video not in held and classes[video][category]:
                held.add(video)
                have.update(classes[video])
    for video in order:
        if len(held) >= wanted:
            break
        held.add(video)
    return held
