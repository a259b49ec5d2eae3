"""`predict` and `visualize`: a model over real videos, and pictures of what it found."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ifc_bench.cli.numbers import MOST_SIDE
from ifc_bench.cli.progress import bar
from ifc_bench.config import Testing, Training
from ifc_bench.data.files import Files
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import resolve_device
from ifc_bench.models.own import own_module
from ifc_bench.store import Store, file_hash, write_text

if TYPE_CHECKING:
    from ifc_bench.models.ifc import IFC

_LONGEST_LABEL = 80
Videos = Annotated[
    Path,
    typer.Option(help="A folder with instances.json, or an annotation file such as valid.json."),
]
Images = Annotated[
    Optional[Path], typer.Option(help="The frames' folder. Default: the usual places beside.")
]
Checkpoint = Annotated[Optional[Path], typer.Option(help="A checkpoint of the released code.")]
TrainingId = Annotated[
    Optional[str], typer.Option(help="The id of one of your trainings, instead.")
]
Own = Annotated[
    Optional[list[str]],
    typer.Option(
        help="The communication module of your own that the training has, package.module:Class; "
        "repeat for more. Nothing else is imported."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the two commands."""

    @app.command("predict")
    def predict_command(
        data: Videos,
        out: Annotated[Path, typer.Option(help="The results.json to write.")],
        images: Images = None,
        checkpoint: Checkpoint = None,
        training: TrainingId = None,
        own: Own = None,
        window: Annotated[int, typer.Option(min=1, help="T.")] = 5,
        stride: Annotated[int, typer.Option(min=1, help="S.")] = 1,
        offline: Annotated[
            bool, typer.Option(help="One window for the whole video, whatever --window says.")
        ] = False,
        size: Annotated[
            Optional[int],
            typer.Option(min=32, max=MOST_SIDE, help="Shorter side of the frames (paper: 360)."),
        ] = None,
        results: Annotated[Path, typer.Option(help="Where records lie.")] = Path("results"),
        runs: Annotated[Path, typer.Option(help="Where checkpoints lie.")] = Path("runs"),
        device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    ) -> None:
        """Find, segment and track the instances of every video.

        Stopped, the same command goes on after the last finished video.

        Example: python run_ablations.py predict --checkpoint ifc_r50.pth --data clips --size 360
        --out results.json
        """
        if not out.name or out.is_dir():
            raise UserError(f"--out: {str(out)!r} names no file; name the results.json to write")
        from ifc_bench.data.loading import VideoDataset  # torch: only where it is needed
        from ifc_bench.inference import Partial, predict, results_json

        videos = VideoDataset(Files.at(data, images), unannotated=True)
        store = Store(results, runs)
        model = chosen_model(checkpoint, training, store, resolve_device(device), own or ())
        if model.classes != len(videos.category_ids):
            raise UserError(
                f"{videos.files.annotations}: categories: has {len(videos.category_ids)}, the "
                f"model has {model.classes} classes; they must agree"
            )
        how = Testing(
            window=None if offline else window, stride=stride, size=size, short_videos="shrink"
        )
        source = training if checkpoint is None else file_hash(checkpoint)
        request = {"model": source, "data": videos.digest(every_byte=False), **how.model_dump()}
        kept = Partial(out, json.dumps(request))
        with bar("videos") as tell, kept:
            found = predict(model, videos, how, tell, kept)
        write_text(out, results_json(found))
        kept.done()
        print(f"{out}: {len(found.tracks)} entries from {found.count} tracks")

    @app.command("visualize")
    def visualize_command(
        data: Videos,
        out: Annotated[Path, typer.Option(help="The folder for the pictures.")],
        images: Images = None,
        predictions: Annotated[
            Optional[list[Path]], typer.Option(help="A results.json; repeat for more rows.")
        ] = None,
        video: Annotated[
            Optional[list[int]], typer.Option(help="A video's id; repeat. Default: all.")
        ] = None,
        label: Annotated[
            Optional[list[str]],
            typer.Option(help="The name of each results.json, in order. Default: the file's."),
        ] = None,
        situation: Annotated[
            Optional[str], typer.Option(help="Only the videos of one situation.")
        ] = None,
        columns: Annotated[int, typer.Option(min=1, help="Frames of a strip.")] = 6,
        frame: Annotated[
            Optional[list[int]],
            typer.Option(min=0, help="These frames instead, from 0; repeat for more."),
        ] = None,
        threshold: Annotated[float, typer.Option(help="Leave out tracks below this score.")] = 0.3,
        gif: Annotated[bool, typer.Option("--gif", help="Also a GIF of each whole video.")] = False,
    ) -> None:
        """Draw one strip a video: the ground truth on top, then one row for each results.json.

        Example: python run_ablations.py visualize --data clips --predictions results.json
        --out pictures
        """
        for name in label or []:
            if not (name.isprintable() and len(name) <= _LONGEST_LABEL):
                raise UserError(
                    f"--label: {name!r} is no name that a picture can show: at most "
                    f"{_LONGEST_LABEL} characters, all printable"
                )
        names = label or [path.stem for path in predictions or []]
        if len(names) != len(predictions or []):
            raise UserError(
                f"--label: {len(names)} names for {len(predictions or [])} files of --predictions"
            )
        for name in names:
            if names.count(name) > 1:
                raise UserError(
                    f"--label: two rows would be called {name!r}; give each --predictions a --label"
                )
        if math.isnan(threshold):
            raise UserError("--threshold: nan is no score; give a number")
        from ifc_bench.data.loading import VideoDataset
        from ifc_bench.pictures.videos import Choice, draw_strips  # torch: only where it is needed

        videos = VideoDataset(Files.at(data, images), unannotated=True)
        choice = Choice(video, situation, columns, frame or None, threshold, gif)
        what = dict(zip(names, predictions or [], strict=True))
        for path in draw_strips(videos, out, what, choice):
            print(path)


def chosen_model(
    checkpoint: Path | None,
    training: str | None,
    store: Store,
    device: str,
    own: Sequence[str] = (),
) -> IFC:
    """The model that `--checkpoint` or `--training` names, with the modules that `--own` names.

    Raises:
        UserError: where both or none are given, or what is named is not there, or the training has
            a module of the user's own that is not named.
    """
    if (checkpoint is None) == (training is None):
        raise UserError("--checkpoint, --training: exactly one of the two says which model")
    if checkpoint is not None:
        import torch

        from ifc_bench.models.checkpoint import load_released_checkpoint

        model = load_released_checkpoint(checkpoint).to(device)
        return model.to(memory_format=torch.channels_last)
    from ifc_bench.training.trainer import trained_model

    for source in own:
        own_module(source)
    record = store.named("training", training or "")
    if record is None or not isinstance(record.work, Training):
        raise UserError(f"--training: {str(training)[:60]!r} has no record under {store.results}")
    return trained_model(store.checkpoint_path(record.work), record.work, device)
