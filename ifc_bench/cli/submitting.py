"""`submit`: results.json in its zip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifc_bench import submission
from ifc_bench.data.annotations import read_instances

Videos = Annotated[
    Path, typer.Option(help="The split's annotation file; its annotations may be null.")
]


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(rich_markup_mode=None, help="Pack and check results.json in its zip.")
    app.add_typer(group, name="submit")

    @group.command("pack")
    def pack_command(
        predictions: Annotated[Path, typer.Argument(help="A results.json.")],
        videos: Videos,
        out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("submission.zip"),
    ) -> None:
        """Check a results.json and zip it.

        Example: python run_ablations.py submit pack results.json --videos valid.json
        """
        count = submission.pack(predictions, read_instances(videos, unannotated=True), out)
        print(f"{out}: {count} entries")

    @group.command("check")
    def check_command(
        archive: Annotated[Path, typer.Argument(help="A zip that holds results.json.")],
        videos: Videos,
    ) -> None:
        """Check name, place, ids, lengths and mask sizes of a packed results.json.

        Example: python run_ablations.py submit check submission.zip --videos valid.json
        """
        found = submission.check(archive, read_instances(videos, unannotated=True))
        print(f"{archive}: {len(found)} entries, no faults")
