"""Faults of annotations whose fields have the right types, one line each. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from ifc_bench.data.json_files import shown
from ifc_bench.data.youtube_vis import Annotation, RawRle, Video, VideoInstances
from ifc_bench.run_lengths import run_lengths, sound_areas

Value = TypeVar("Value", int, str)


def faults(instances: VideoInstances) -> Iterator[str]:
    """Faults of ids, lengths, sizes, categories and masks, one line each."""
    yield from _listing_faults(instances)
    videos = {video.id: video for video in instances.videos}
    categories = {category.id for category in instances.categories}
    for video in instances.videos:
        if len(video.file_names) != video.length:
            yield (
                f"video {video.id}: file_names has {len(video.file_names)} entries, length says "
                f"{video.length}; they must agree"
            )
        if outside := [frame for frame in video.marked or () if frame >= video.length]:
            yield (
                f"video {video.id}: marked has frame {outside[0]}, the last of {video.length} is "
                f"{video.length - 1}"
            )
    for annotation in instances.annotations:
        if annotation.category_id not in categories:
            yield (
                f"annotation {annotation.id}: category_id {annotation.category_id} is not among "
                "the categories"
            )
        for fault in _annotation_faults(annotation, videos):
            yield f"annotation {annotation.id}: {fault}"


def _listing_faults(instances: VideoInstances) -> Iterator[str]:
    """Lists that are empty, and ids and names that occur twice."""
    for field in ("videos", "categories"):
        if not getattr(instances, field):
            yield f"{field}: is empty; at least one is needed"
    for field in ("videos", "categories", "annotations"):
        for number in _repeated([entry.id for entry in getattr(instances, field)]):
            yield f"{field}: id {number} occurs twice; ids must be unique"
    for name in _repeated([category.name for category in instances.categories]):
        yield f"categories: name {shown(name)} occurs twice; names must be unique"


def _annotation_faults(annotation: Annotation, videos: dict[int, Video]) -> Iterator[str]:
    """Faults of its video, masks and areas."""
    if annotation.video_id not in videos:
        yield f"video_id {annotation.video_id} is not among the videos"
        return
    yield from tube_faults(annotation.segmentations, videos[annotation.video_id])
    if annotation.areas is not None and len(annotation.areas) != len(annotation.segmentations):
        yield (
            f"areas has {len(annotation.areas)} entries for {len(annotation.segmentations)} "
            "segmentations; one for each frame is needed"
        )


def tube_faults(segmentations: list[RawRle | None], video: Video) -> Iterator[str]:
    """Why a list of masks does not fit its video."""
    if len(segmentations) != video.length:
        yield (
            f"segmentations has {len(segmentations)} entries, video {video.id} has "
            f"{video.length} frames; one RLE or null for each frame is needed"
        )
        return
    size = (video.height, video.width)
    if _sound(segmentations, size):
        return
    for frame, rle in enumerate(segmentations):
        if rle is None:
            continue
        if rle.size != size:
            yield (
                f"segmentations.{frame}.size is {list(rle.size)}, video {video.id} is "
                f"{list(size)} (height, width)"
            )
        elif fault := _rle_fault(rle):
            yield f"segmentations.{frame}.counts: {fault}"


def _sound(segmentations: list[RawRle | None], size: tuple[int, int]) -> bool:
    """Whether all masks are compressed, complete and of `size`."""
    masks = [rle for rle in segmentations if rle is not None]
    texts = [rle.counts for rle in masks if isinstance(rle.counts, str)]
    return (
        len(texts) == len(masks)
        and all(rle.size == size for rle in masks)
        and sound_areas(texts, size[0] * size[1]) is not None
    )


def _rle_fault(rle: RawRle) -> str | None:
    """The fault of a mask whose runs do not fill its frame exactly; else None."""
    runs = run_lengths(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if runs is None:
        return "is no compressed run-length text; write it with pycocotools.mask.encode"
    if min(runs, default=0) < 0:
        return f"has a negative run ({min(runs)}); the mask is broken"
    pixels = rle.size[0] * rle.size[1]
    if sum(runs) != pixels:
        return f"covers {sum(runs)} pixels of {pixels}; the mask is cut off or of another size"
    return None


def _repeated(values: list[Value]) -> list[Value]:
    """The values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
