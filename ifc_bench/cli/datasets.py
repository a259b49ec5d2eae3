"""`data`: check, split, write and convert data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from ifc_bench.cli.progress import bar
from ifc_bench.config import SyntheticData
from ifc_bench.data.davis import convert_davis
from ifc_bench.data.files import Files
from ifc_bench.data.split import split_videos
from ifc_bench.data.synthetic import synthesize
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError, printable
from ifc_bench.store import write_text

_SHOWN = 50


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(rich_markup_mode=None, help="Check, split, write and convert data sets.")
    app.add_typer(group, name="data")

    @group.command("validate")
    def validate_command(
        path: Annotated[
            Path, typer.Argument(help="An annotation file, or a folder with instances.json.")
        ],
        images: Annotated[
            Optional[Path],
            typer.Option(help="The frames' folder. Default: the usual places beside."),
        ] = None,
        frames: Annotated[bool, typer.Option(help="Open every frame as well.")] = True,
    ) -> None:
        """Name every fault: lengths, sizes, masks, ids, categories, frames. Exit code 2 if any.

        Example: python run_ablations.py data validate ytvis_2019/train.json
        """
        annotations = path / "instances.json" if path.is_dir() else path
        folder = Files.at(path, images).images if frames else None
        with bar("frames") as tell:
            found = list(data_faults(annotations, folder, tell))
        for fault in found[:_SHOWN]:
            print(printable(fault))
        if found:
            more = f", the first {_SHOWN} are shown" if len(found) > _SHOWN else ""
            faults = "1 fault" if len(found) == 1 else f"{len(found)} faults"
            raise UserError(f"{annotations}: {faults}{more}")
        print(printable(f"{annotations}: no faults"))

    @group.command("split")
    def split_command(
        annotations: Annotated[Path, typer.Argument(help="The annotations of a training set.")],
        out: Annotated[Path, typer.Option(help="The folder for train.json and valid.json.")],
        share: Annotated[float, typer.Option(help="The share of videos to hold out.")] = 0.1,
        seed: Annotated[int, typer.Option(min=0, help="Another seed, another split.")] = 0,
    ) -> None:
        """Hold whole videos out of a training set, each class by its share.

        The validation annotations of YouTube-VIS and OVIS are not public and their server is
        closed, so this is how an AP is had today.

        Example: python run_ablations.py data split ytvis_2019/train.json --out ytvis_2019/local
        """
        parts = split_videos(annotations, share, seed)
        paths = {part: out / f"{part}.json" for part in parts}
        for path in paths.values():
            if path.exists():
                raise UserError(f"{path}: is there already; choose another folder")
        for part, text in parts.items():
            write_text(paths[part], text)
            print(paths[part])

    @group.command("synthesize")
    def synthesize_command(
        out: Annotated[Path, typer.Argument(help="The folder to write; must not be there.")],
        train: Annotated[int, typer.Option(min=1, max=100_000, help="Training videos.")] = 240,
        valid: Annotated[int, typer.Option(min=1, max=100_000, help="Validation videos.")] = 60,
        frames: Annotated[int, typer.Option(min=1, max=1000, help="Frames of a video.")] = 24,
        seed: Annotated[int, typer.Option(min=0, help="Another seed, other scenes.")] = 0,
    ) -> None:
        """Write the embedded benchmark (synthetic videos in the YouTube-VIS format).

        Example: python run_ablations.py data synthesize scenes --train 20 --valid 5
        """
        if out.exists() or out.is_symlink():
            raise UserError(f"{out}: is there already; choose another folder")
        data = SyntheticData(seed=seed, train_videos=train, validation_videos=valid, frames=frames)
        with bar("videos") as tell:
            synthesize(data, out, tell)
        print(out)

    @group.command("convert-davis")
    def convert_davis_command(
        root: Annotated[Path, typer.Argument(help="DAVIS 2017's own folder.")],
        out: Annotated[Path, typer.Option(help="The folder to write.")],
        split: Annotated[str, typer.Option(help="train or val.")] = "val",
        resolution: Annotated[str, typer.Option(help="480p or Full-Resolution.")] = "480p",
    ) -> None:
        """Write DAVIS 2017 in the YouTube-VIS format, with the one class "object".

        Example: python run_ablations.py data convert-davis DAVIS --out davis-val
        """
        with bar("videos") as tell:
            count = convert_davis(root, out, split, resolution, tell)
        print(f"{out}: {count} videos")
