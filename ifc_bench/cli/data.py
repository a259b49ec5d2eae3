"""`data`: check, split, generate and convert data sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ifc_bench.cli.options import number
from ifc_bench.cli.progress import bar
from ifc_bench.config import SyntheticData
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.catalogue import link_split
from ifc_bench.data.clips import write_clips
from ifc_bench.data.davis import convert_davis
from ifc_bench.data.files import Files, annotations_at
from ifc_bench.data.hold_out import split_videos
from ifc_bench.data.layouts import SPLIT_NOTE
from ifc_bench.data.synthetic import synthesize
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError, printable
from ifc_bench.evaluation import read_predictions
from ifc_bench.file_io import write_text

_SHOWN = 50
_MOST_SEED = 2**63 - 1

command = App(name="data", help="Check, split, generate and convert data sets.")


@command.command
def validate(
    path: Annotated[
        Path, Parameter(help="An annotation file, or a directory with instances.json.")
    ],
    /,
    *,
    images: Annotated[
        Path | None,
        Parameter(help="Directory of the frames. Default: the usual directories beside the file."),
    ] = None,
    annotations_only: Annotated[bool, Parameter(help="Open no frames.")] = False,
    predictions: Annotated[
        Path | None,
        Parameter(help="Check this results.json against PATH, whose annotations may be null."),
    ] = None,
) -> None:
    """List every fault: lengths, sizes, masks, ids, categories, frames. Exit code 2 if any.

    Example: python run_ablations.py data validate ytvis_2019/train.json

    Predictions: python run_ablations.py data validate valid.json --predictions results.json
    """
    annotations = annotations_at(path)
    if predictions is not None:
        found = read_predictions(predictions, read_instances(annotations, unannotated=True))
        print(printable(f"{predictions}: {len(found)} entries, no faults"))
        return
    folder = Files.at(path, images).images if not annotations_only else None
    with bar("frames") as tell:
        faults = list(data_faults(annotations, folder, tell))
    for fault in faults[:_SHOWN]:
        print(printable(fault))
    if faults:
        more = f", the first {_SHOWN} are shown" if len(faults) > _SHOWN else ""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UserError(f"{annotations}: {count}{more}")
    print(printable(f"{annotations}: no faults"))


@command.command
def split(
    annotations: Annotated[Path, Parameter(help="Annotations of a training set.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Directory for train.json, valid.json and links.")],
    images: Annotated[
        Path | None,
        Parameter(help="Directory of the frames. Default: the usual directories beside the file."),
    ] = None,
    share: Annotated[float, number("Share of the videos to hold out.", 0, 1)] = 0.1,
    seed: Annotated[int, number("Another seed, another split.", 0, _MOST_SEED)] = 0,
) -> None:
    """Hold out part of the videos of a training set, the same share of each class.

    The validation annotations of YouTube-VIS and OVIS are not public and their servers are closed,
    so this is the only way to compute AP on them today. `run --data DIR` takes the result.

    Example: python run_ablations.py data split ytvis_2019/train.json --out ytvis_2019/local
    """
    parts = split_videos(annotations, share, seed)
    paths = {part: out / f"{part}.json" for part in parts}
    for path in paths.values():
        if path.exists():
            raise UserError(f"{path}: already exists; choose another directory")
    try:
        frames = Files.at(annotations, images).images
    except UserError:  # only annotations are at hand
        frames = None
    for part, text in parts.items():
        write_text(paths[part], text)
        link_split(out / part, paths[part], frames)
        print(paths[part])
    note = {"source": annotations.name, "share": share, "seed": seed}
    write_text(out / SPLIT_NOTE, json.dumps(note))
    if frames is None:
        print(
            f"the frames of {annotations} were not found: link them as {out / 'train'}/JPEGImages "
            f"and {out / 'valid'}/JPEGImages, or give --images",
            file=sys.stderr,
        )


@command.command(name="synthesize")
def synthesize_scenes(
    out: Annotated[Path, Parameter(help="Directory to write; it must not exist.")],
    /,
    *,
    train: Annotated[int, number("Training videos.", 1, 100_000)] = 240,
    valid: Annotated[int, number("Validation videos.", 1, 100_000)] = 60,
    video_length: Annotated[int, number("Frames of a video.", 1, 1000)] = 24,
    seed: Annotated[int, number("Another seed, other scenes.", 0, _MOST_SEED)] = 0,
) -> None:
    """Generate the embedded benchmark: synthetic videos in the YouTube-VIS format.

    Example: python run_ablations.py data synthesize scenes --train 20 --valid 5
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: already exists; choose another directory")
    data = SyntheticData(
        seed=seed, train_videos=train, validation_videos=valid, frames=video_length
    )
    with bar("videos") as tell:
        synthesize(data, out, tell)
    print(out)


@command.command(name="from-video")
def from_video(
    *clips: Annotated[Path, Parameter(help="Video files, or directories of frames.")],
    out: Annotated[Path, Parameter(help="Directory to write; it must not exist.")],
    masks: Annotated[
        Path | None,
        Parameter(help="Directory with a directory of indexed PNGs for each clip, as in DAVIS."),
    ] = None,
    classes: Annotated[
        list[str] | None, Parameter(help="Names of the classes. Default: object.")
    ] = None,
    every: Annotated[int, number("Take every so many frames.", 1, 10_000)] = 1,
) -> None:
    """Make a data set of your own clips: frames, and instances.json with the instances of --masks.

    Video files need PyAV (`pip install av`); directories of frames do not.

    Example: python run_ablations.py data from-video dog.mp4 cat.mp4 --out mine
    """
    if not clips:
        raise UserError("CLIPS: none is given; name video files or directories of frames")
    with bar("clips") as tell:
        frames = write_clips(clips, out, classes or ("object",), masks, every, tell)
    print(f"{out}: {len(clips)} clip{'s'[: len(clips) > 1]}, {frames} frames")


@command.command(name="convert-davis")
def convert(
    root: Annotated[Path, Parameter(help="Directory of DAVIS 2017.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Directory to write.")],
    split: Annotated[str, Parameter(help="train or val.")] = "val",
    resolution: Annotated[str, Parameter(help="480p or Full-Resolution.")] = "480p",
) -> None:
    """Convert DAVIS 2017 to the YouTube-VIS format, with the one class "object".

    Example: python run_ablations.py data convert-davis DAVIS --out davis-val
    """
    with bar("videos") as tell:
        count = convert_davis(root, out, split, resolution, tell)
    print(f"{out}: {count} videos")
