"""`flops`: multiply-adds of the encoder, or of every part of the network."""

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
        scopes: Annotated[
            bool,
            typer.Option("--scopes", help="The whole network, part by part, with bytes moved."),
        ] = False,
        style: Annotated[Literal["github", "json"], typer.Option("--format")] = "github",
    ) -> None:
        """Count multiply-adds on the real modules: the encoder's (paper, Table 1), or all parts'.

        Example: python run_ablations.py flops --communication ifc --frames 36 --format json
        """
        kinds = communication or list(COMMUNICATIONS)
        sizes = [_size(text) for text in size or ["360x640", "720x1280"]]
        count_rows = _scope_rows if scopes else _encoder_rows
        rows = [
            row
            for kind, one_size, count in product(kinds, sizes, frames or [5, 36])
            for row in count_rows(kind, tokens, one_size, count, attention)
        ]
        if style == "json":
            print(json.dumps(rows, indent=1))
        else:
            print(tabulate([_readable(row) for row in rows], headers="keys", tablefmt="github"))


def _encoder_rows(
    kind: str, tokens: int, size: tuple[int, int], frames: int, attention: AttentionKernel
) -> list[dict[str, Any]]:
    from ifc_bench.profiling.flops import encoder_macs  # torch: only where it is needed

    model = _model(kind, tokens, attention)
    return [{**_place(kind, size, frames), "macs": encoder_macs(model, frames, *size)}]


def _scope_rows(
    kind: str, tokens: int, size: tuple[int, int], frames: int, attention: AttentionKernel
) -> list[dict[str, Any]]:
    """One row for each part of the network, and one for all of it."""
    from ifc_bench.profiling.scopes import model_costs  # torch: only where it is needed

    costs = model_costs(_model(kind, tokens, attention), frames, *size)
    keys = ("macs", "parameters", "bytes_moved")
    rows = {scope: {key: getattr(cost, key) for key in keys} for scope, cost in costs.items()}
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in keys}
    place = _place(kind, size, frames)
    return [{**place, "scope": scope, **row} for scope, row in rows.items()]


def _model(kind: str, tokens: int, attention: AttentionKernel) -> ModelConfig:
    if kind not in COMMUNICATIONS:
        raise UserError(f"--communication: {kind!r} is none of {', '.join(COMMUNICATIONS)}")
    return ModelConfig(communication=COMMUNICATIONS[kind](tokens), attention=attention)


def _place(kind: str, size: tuple[int, int], frames: int) -> dict[str, Any]:
    return {"communication": kind, "height": size[0], "width": size[1], "frames": frames}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """A row with units in its values, and the multiply-adds for each byte."""
    shown = {**row, "macs": f"{row['macs'] / 1e9:.2f} G"}
    if "bytes_moved" in row:
        shown["parameters"] = f"{row['parameters'] / 1e6:.2f} M"
        shown["bytes_moved"] = f"{row['bytes_moved'] / 1e9:.2f} GB"
        shown["macs/byte"] = f"{row['macs'] / row['bytes_moved']:.1f}"
    return shown


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UserError(f"--size: {text!r} is no HEIGHTxWIDTH such as 360x640")
    return int(height), int(width)
