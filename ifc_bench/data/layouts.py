"""File layouts of the public data sets: those of their downloads, and those of frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

HELD_OUT = "-held-out"  # the end of the name of a set that is tested on some of its training videos
SPLIT_NOTE = "split.json"  # beside the files of `data split`: the share, the seed and the source
WORDS = {"train": ("train",), "valid": ("valid", "val")}  # names of the splits


def _official(year: int) -> list[tuple[str, str]]:
    """Return the layouts of a YouTube-VIS split; "{}" is train or valid."""
    return [
        ("{}.json", "{}/JPEGImages"),
        ("{}/instances.json", "{}/JPEGImages"),
        ("annotations/instances_{}.json", "{}/JPEGImages"),
        ("annotations/instances_{}_sub.json", "{}/JPEGImages"),
        ("annotations/{}.json", "{}/JPEGImages"),
        (f"annotations/youtube_vis_{year}_{{}}.json", "{}/JPEGImages"),
    ]


LAYOUTS: dict[str, list[tuple[str, str]]] = {
    "youtube-vis-2019": _official(2019),
    "youtube-vis-2021": _official(2021),
    "youtube-vis-2022": _official(2022),
    "ovis": [
        ("annotations_{}.json", "{}"),
        ("annotations_{}.json", "Images/{}"),
        ("annotations/annotations_{}.json", "{}"),
        ("annotations/{}.json", "{}/JPEGImages"),
        ("annotations/{}.json", "{}"),
        ("{}.json", "{}/JPEGImages"),
    ],
    "coco": [
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/instances_{}2017.json", "images/{}2017"),
    ],
    "folder": [("{}/instances.json", "{}/JPEGImages")],
}
DIRECTORIES = {
    "youtube-vis-2019": ("ytvis_2019", "youtube_vis_2019", "YouTube-VIS-2019"),
    "youtube-vis-2021": ("ytvis_2021", "youtube_vis_2021", "YouTube-VIS-2021"),
    "youtube-vis-2022": ("ytvis_2022", "youtube_vis_2022", "YouTube-VIS-2022"),
    "ovis": ("ovis", "OVIS"),
    "coco": ("coco", "COCO"),
}


def annotation_files(root: Path) -> list[Path]:
    """The annotation files under `root` by any layout, each once."""
    words = [word for words in WORDS.values() for word in words]
    listings = dict.fromkeys(listing for pairs in LAYOUTS.values() for listing, _ in pairs)
    found = (root / listing.format(word) for listing in listings for word in words)
    return list(dict.fromkeys(path for path in found if path.is_file()))


def image_directories(annotations: Path) -> Iterator[Path]:
    """The directories that hold the frames of an annotation file, by the layouts that fit it."""
    parts = annotations.parts
    for pairs in LAYOUTS.values():
        for listing, images in pairs:
            for word in (*(word for words in WORDS.values() for word in words), "test"):
                ending = Path(listing.format(word)).parts
                if parts[-len(ending) :] == ending:
                    yield Path(*parts[: -len(ending)]) / images.format(word)


def held_out_locally(annotations: Path) -> bool:
    """Whether `data split` wrote an annotation file, or what links to it."""
    return any((folder / SPLIT_NOTE).is_file() for folder in annotations.parents[:2])
