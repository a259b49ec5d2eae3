"""`predict`: run a trained model over videos."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.directories import ResultsDirectory, RunsDirectory
from ifc_bench.cli.options import (
    MOST_FRAMES,
    DeviceName,
    ShortEdge,
    number,
)
from ifc_bench.cli.progress import bar
from ifc_bench.config import Arithmetic, Testing
from ifc_bench.data.clips import is_clip, is_written, write_clips
from ifc_bench.data.files import Files
from ifc_bench.data.layouts import held_out_locally
from ifc_bench.errors import UserError
from ifc_bench.file_io import file_hash, write_text
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.hardware.precision import require_precision
from ifc_bench.store import Store

Videos = Annotated[
    Path,
    Parameter(help="A directory with instances.json, or an annotation file such as valid.json."),
]
Clip = Annotated[
    Path,
    Parameter(help="A video file, a directory of frames, or a data set (also its valid.json)."),
]
Images = Annotated[
    Path | None,
    Parameter(help="Directory of the frames. Default: the usual directories beside the file."),
]
Checkpoint = Annotated[Path | None, Parameter(help="A checkpoint of the released code.")]
TrainingId = Annotated[
    str | None, Parameter(help="ID of one of your training runs (instead of --checkpoint).")
]
Own = Annotated[
    list[str] | None,
    Parameter(
        help="Communication module of that training run, package.module:Class; no other is "
        "imported."
    ),
]


def command(
    data: Clip,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="The results.json to write. Default for a clip: CLIP.results.json."),
    ] = None,
    images: Images = None,
    checkpoint: Checkpoint = None,
    training: TrainingId = None,
    own: Own = None,
    window: Annotated[int, number("T: frames of a window.", 1, MOST_FRAMES)] = 5,
    stride: Annotated[int, number("S: frames between windows.", 1, MOST_FRAMES)] = 1,
    offline: Annotated[
        bool, Parameter(help="One window for the whole video, whatever --window says.")
    ] = False,
    short_edge: ShortEdge = None,
    precision: Annotated[
        Arithmetic, Parameter(help="Arithmetic of the network; bf16 and fp16 are mixed precision.")
    ] = "fp32",
    compiled: Annotated[bool, Parameter("--compile", help="Run with torch.compile.")] = False,
    results: ResultsDirectory = Path("results"),
    runs: RunsDirectory = Path("runs"),
    device: DeviceName = "auto",
) -> None:
    """Find, segment and track the instances of every video.

    After an interruption, the same command continues with the next video. The frames of a clip are
    written beside the results, for `visualize`; its classes have the numbers of the model.

    Example: python run_ablations.py predict --checkpoint ifc_r50.pth --data clips --short-edge 360
    --out results.json

    One clip: python run_ablations.py predict dog.mp4 --checkpoint ifc_r50.pth --short-edge 360
    """
    alone = is_clip(data)
    if out is None and alone:
        out = Path(f"{data.stem}.results.json")
    if out is None or not out.name or out.is_dir():
        given = "" if out is None else f"{str(out)!r} is not a file; "
        raise UserError(f"--out: {given}name the results.json to write")
    chosen = resolve_device(device)
    require_precision(precision, describe_device(chosen, 1))
    from ifc_bench.data.loading import VideoDataset  # torch: only where it is needed
    from ifc_bench.inference import Partial, load_model, predict, results_json

    videos = None if alone else VideoDataset(Files.at(data, images), unannotated=True)
    store = Store(results, runs)
    model = load_model(store, training, checkpoint, chosen, own or ())
    if videos is None:
        videos = VideoDataset(_frames(data, out, model.classes), unannotated=True)
    if checkpoint is not None and held_out_locally(videos.files.annotations):
        print(
            "warning: released checkpoints were trained on all training videos of their set, of "
            "which these are some: an AP of these predictions may be far too high",
            file=sys.stderr,
        )
    if model.classes != len(videos.category_ids):
        raise UserError(
            f"{videos.files.annotations}: categories: has {len(videos.category_ids)}, the "
            f"model has {model.classes} classes; they must be equal"
        )
    how = Testing(
        window=None if offline else window,
        stride=stride,
        size=short_edge,
        short_videos="shrink",
        precision=precision,
        compiled=compiled,
    )
    source = training if checkpoint is None else file_hash(checkpoint)
    request = {"model": source, "data": videos.digest(every_byte=False), **how.model_dump()}
    kept = Partial(out, json.dumps(request))
    with bar("videos") as tell, kept:
        found = predict(model, videos, how, tell, kept)
    write_text(out, results_json(found))
    kept.done()
    print(f"{out}: {len(found.tracks)} entries from {found.count} tracks")
    if alone:
        shown = f"--data {videos.files.annotations.parent} --predictions {out}"
        print(f"to look at them: visualize {shown} --out {out.stem}-pictures --gif")


def _frames(clip: Path, out: Path, classes: int) -> Path:
    """The frames of a clip as a data set beside `out`; an earlier run's are taken again.

    Raises:
        UserError: if the clip cannot be read, or the directory is of another one.
    """
    folder = out.with_name(f"{out.stem}-frames")
    names = [f"class {number}" for number in range(1, classes + 1)]
    if not is_written(folder, [clip], names):
        write_clips([clip], folder, names)
    return folder
