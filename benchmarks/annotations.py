"""Times reading annotation files of the sizes of YouTube-VIS 2021 and of COCO 2017.

    python benchmarks/annotations.py --out /tmp/annotations

Writes both files once, with synthetic masks: 2,985 videos of 720p with 229,003 masks (300 MB), and
118,287 images with 860,001 instances (550 MB). Then it prints CPU seconds and peak memory of a
fresh process for each: `json.load`, reading, writing the index, opening the file with it, and
reading the instances of 1,000 videos.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from evaluator import timed

from ifc_bench.masks import encode

READS = {
    "json.load": "json.load(open(path))",
    "read_instances": "read_instances(path)",
    "write_index": "write_index(path, kept)",
    "open with the index": "found = IndexedInstances(path, kept)",
    "and draw 1,000": "found = IndexedInstances(path, kept); "
    "[found.of_video(row) for row in range(1000)]",
}
HEAD = (
    "import json, sys; from pathlib import Path; from ifc_bench.data.annotations import "
    "read_instances; from ifc_bench.data.annotation_index import IndexedInstances, write_index; "
    "path, kept = map(Path, sys.argv[1:]); "
)


def main() -> None:
    """Write the files where they are missing, and print a row for each way to read each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="A directory for both files.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, content in (("youtube-vis-2021", videos), ("coco", images)):
        path, kept = given.out / f"{name}.json", given.out / f"{name}.index"
        if not path.exists():
            path.write_text(json.dumps(content()))
        kept.unlink(missing_ok=True)
        print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")
        for label, statement in READS.items():
            run = timed(["-c", HEAD + statement, str(path), str(kept)])
            print(f"  {label:<20} {run.cpu:6.1f} s CPU  {run.megabytes / 1024:5.2f} GiB")
    sys.stdout.flush()


def videos() -> dict[str, object]:
    """2,985 videos of 720p: 229,003 masks of 600, in the format of the published file."""
    rng = np.random.default_rng(0)
    texts = [blob(rng, 720, 1280) for _ in range(600)]
    lengths = rng.integers(20, 37, 2985)
    entries, instances, left = [], [], 229_003
    for number, length in enumerate(lengths.tolist(), 1):
        names = [f"{number:08x}/{frame:05d}.jpg" for frame in range(length)]
        entries.append(
            {"id": number, "height": 720, "width": 1280, "length": length, "file_names": names}
        )
    while left:
        number = len(instances) % len(entries)
        length = int(lengths[number])
        count = min(left, int(rng.integers(length // 2, length + 1)))
        left -= count
        masks = [
            {"size": [720, 1280], "counts": texts[int(i)]} for i in rng.integers(600, size=count)
        ]
        gaps: list[object] = [None] * (length - count)
        instances.append(
            {
                "id": len(instances) + 1,
                "video_id": number + 1,
                "category_id": int(rng.integers(1, 41)),
                "iscrowd": 0,
                "height": 720,
                "width": 1280,
                "length": length,
                "segmentations": [*masks, *gaps],
                "areas": [*rng.integers(1000, 200_000, count).tolist(), *gaps],
                "bboxes": [*rng.integers(0, 700, (count, 4)).tolist(), *gaps],
            }
        )
    return {"videos": entries, "categories": classes(40), "annotations": instances}


def images() -> dict[str, object]:
    """118,287 images with 860,001 polygons, in the format of the published file."""
    rng = np.random.default_rng(0)
    entries = [
        {"id": n, "height": 480, "width": 640, "file_name": f"{n:012d}.jpg", "license": 1}
        for n in range(1, 118_288)
    ]
    instances = []
    for number in range(860_001):
        corners = int(rng.integers(8, 48))
        angles = np.sort(rng.random(corners)) * 2 * np.pi
        radius = rng.uniform(5, 90)
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius + rng.uniform(100, 380, 2)
        polygon = np.round(points, 2).ravel().tolist()
        instances.append(
            {
                "segmentation": [polygon],
                "area": float(np.round(radius**2 * 3, 4)),
                "iscrowd": 0,
                "image_id": number % 118_287 + 1,
                "bbox": np.round(rng.uniform(0, 400, 4), 2).tolist(),
                "category_id": int(rng.integers(1, 81)),
                "id": number + 1,
            }
        )
    return {"images": entries, "categories": classes(80), "annotations": instances}


def classes(count: int) -> list[dict[str, object]]:
    """Categories with names."""
    return [{"id": n, "name": f"class {n}"} for n in range(1, count + 1)]


def blob(rng: np.random.Generator, height: int, width: int) -> str:
    """The text of one ragged disc."""
    radius, y, x = rng.uniform(40, 520), rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.mgrid[:height, :width]
    angle = np.arctan2(rows - y, columns - x)
    bumps = sum(np.sin(angle * k + rng.uniform(0, 6)) / k for k in (3, 7, 19, 41, 97))
    ragged = radius * (1 + 0.3 * bumps)
    return encode(((rows - y) ** 2 + (columns - x) ** 2 < ragged**2)[None])[0]["counts"]


if __name__ == "__main__":
    main()
