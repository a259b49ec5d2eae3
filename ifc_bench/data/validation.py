"""Finds all faults of a data set, instead of stopping at the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ifc_bench.data.annotations import all_faults, read_instances
from ifc_bench.data.frames import FrameFolder, read_frame
from ifc_bench.data.youtube_vis import Video
from ifc_bench.errors import UserError


def data_faults(
    annotations: Path,
    images: Path | None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[str]:
    """Yield the faults of an annotation file, and of its frames under `images` if given.

    Every frame is opened, to find missing or unreadable ones, another size, or a path outside the
    directory. `tell` is called with videos done and their total.
    """
    broken = False
    for fault in all_faults(annotations):
        broken = True
        yield fault
    if broken or images is None:
        return
    videos = read_instances(annotations, unannotated=True).videos
    folder = FrameFolder(images)
    for done, video in enumerate(videos, 1):
        yield from _frame_faults(video, folder, annotations)
        tell(done, len(videos))


def _frame_faults(video: Video, folder: FrameFolder, annotations: Path) -> Iterator[str]:
    where = f"{annotations}: video {video.id}"
    for name in video.file_names:
        try:
            path = folder.present(name, where)
            read_frame(path, (video.height, video.width))
        except UserError as error:
            yield str(error)
