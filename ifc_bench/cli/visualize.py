"""`visualize`: draw strips of frames with ground truth and predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.options import number
from ifc_bench.cli.predict import Images, Videos
from ifc_bench.data.files import Files
from ifc_bench.errors import UserError

_LONGEST_LABEL = 80
_MOST_FRAMES = 100_000


def command(
    *,
    data: Videos,
    out: Annotated[Path, Parameter(help="Directory for the pictures.")],
    images: Images = None,
    predictions: Annotated[
        list[Path] | None, Parameter(help="results.json files, one row of the strip each.")
    ] = None,
    video: Annotated[
        list[int] | None, number("IDs of videos. Default: all.", -(2**63), 2**63)
    ] = None,
    label: Annotated[
        list[str] | None,
        Parameter(help="A label for each results.json, in order. Default: the file's name."),
    ] = None,
    situation: Annotated[str | None, Parameter(help="Only videos of this situation.")] = None,
    columns: Annotated[int, number("Frames per strip, evenly spaced.", 1, _MOST_FRAMES)] = 6,
    frame: Annotated[
        list[int] | None, number("Frame numbers from 0, instead of --columns.", 0, _MOST_FRAMES)
    ] = None,
    threshold: Annotated[float, number("Leave out tracks with a lower score.", -1e9, 1e9)] = 0.3,
    gif: Annotated[bool, Parameter(help="Also write a GIF of each whole video.")] = False,
) -> None:
    """Draw one strip per video: the ground truth on top, then one row for each results.json.

    Example: python run_ablations.py visualize --data clips --predictions results.json
    --out pictures
    """
    for name in label or []:
        if not (name.isprintable() and len(name) <= _LONGEST_LABEL):
            raise UserError(
                f"--label: {name!r} is not a valid label: at most {_LONGEST_LABEL} characters, "
                "all printable"
            )
    names = label or [path.stem for path in predictions or []]
    if len(names) != len(predictions or []):
        raise UserError(
            f"--label: {len(names)} labels for {len(predictions or [])} files of --predictions"
        )
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"--label: two rows have the label {name!r}; give each --predictions a --label"
            )
    from ifc_bench.data.loading import VideoDataset
    from ifc_bench.pictures.videos import Choice, draw_strips  # torch: only where it is needed

    videos = VideoDataset(Files.at(data, images), unannotated=True)
    choice = Choice(video, situation, columns, frame or None, threshold, gif)
    what = dict(zip(names, predictions or [], strict=True))
    for path in draw_strips(videos, out, what, choice):
        print(path)
