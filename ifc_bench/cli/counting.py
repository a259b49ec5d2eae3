"""`flops`: multiply-adds of the encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Annotated, Any, Literal, Optional

import typer
from tabulate import tabulate

from ifc_bench.config import (
    AttentionKernel,
    Communication,
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
)
from ifc_bench.errors import UserError

COMMUNICATIONS: dict[str, Callable[[int], Communication]] = {
    "none": lambda tokens: NoComm(),
    "full": lambda tokens: FullTHW(),
    "decomposed": lambda tokens: DecompTHW(),
    "ifc": lambda tokens: InterFrame(memory_tokens=tokens),
}


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("flops")
    def flops_command(
        communication: Annotated[
            Optional[list[str]],
            typer.Option(help="none, full, decomposed or ifc; repeat for more. Default: all."),
        ] = None,
        tokens: Annotated[int, typer.Option(min=0, help="Memory tokens M of ifc.")] = 8,
        frames: Annotated[
            Optional[list[int]], typer.Option(min=1, help="T; repeat for more. Default: 5 and 36.")
        ] = None,
        size: Annotated[
            Optional[list[str]],
            typer.Option(help="HxW; repeat for more. Default: 360x640 and 720x1280."),
        ] = None,
        attention: Annotated[
            AttentionKernel, typer.Option(help="Attention implementation.")
        ] = "materialised",
        style: Annotated[Literal["github", "json"], typer.Option("--format")] = "github",
    ) -> None:
        """Count the encoder's multiply-adds on the real modules (paper, Table 1).

        Example: python run_ablations.py flops --communication ifc --frames 36 --format json
        """
        kinds = communication or list(COMMUNICATIONS)
        sizes = [_size(text) for text in size or ["360x640", "720x1280"]]
        rows = [
            _row(kind, tokens, one_size, count, attention)
            for kind, one_size, count in product(kinds, sizes, frames or [5, 36])
        ]
        if style == "json":
            print(json.dumps(rows, indent=1))
            return
        shown = [{**row, "macs": f"{row['macs'] / 1e9:.2f} G"} for row in rows]
        print(tabulate(shown, headers="keys", tablefmt="github"))


def _row(
    kind: str, tokens: int, size: tuple[int, int], frames: int, attention: AttentionKernel
) -> dict[str, Any]:
    if kind not in COMMUNICATIONS:
        raise UserError(f"--communication: {kind!r} is none of {', '.join(COMMUNICATIONS)}")
    from ifc_bench.profiling.flops import encoder_macs  # torch: only where it is needed

    model = ModelConfig(communication=COMMUNICATIONS[kind](tokens), attention=attention)
    return {
        "communication": kind,
        "height": size[0],
        "width": size[1],
        "frames": frames,
        "macs": encoder_macs(model, frames, *size),
    }


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UserError(f"--size: {text!r} is no HEIGHTxWIDTH such as 360x640")
    return int(height), int(width)
