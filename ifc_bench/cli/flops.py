"""`flops`: count MACs of the encoder, or of every part of the network."""

from __future__ import annotations

import json
from itertools import product
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from tabulate import tabulate

from ifc_bench.cli.models import FrameSizes, Kinds, Tokens, models, parse_size
from ifc_bench.cli.options import MOST_FRAMES, number
from ifc_bench.config import AttentionKernel, ModelConfig, spoken
from ifc_bench.report.quantities import GIGA_MACS, MEGA_PARAMETERS, TRAFFIC


def command(
    *,
    communication: Kinds = None,
    tokens: Tokens = None,
    window: Annotated[
        list[int] | None, number("T: frames of a clip. Default: 5 and 36.", 1, MOST_FRAMES)
    ] = None,
    frame_size: FrameSizes = None,
    attention: Annotated[
        AttentionKernel, Parameter(help="Attention implementation.")
    ] = "materialised",
    scopes: Annotated[
        bool, Parameter(help="The whole network, part by part, with the bytes moved.")
    ] = False,
    style: Annotated[
        Literal["github", "json"], Parameter("--format", help="Format of the table.")
    ] = "github",
) -> None:
    """Count MACs of the real modules: of the encoder (paper, Table 1), or of all parts.

    Example: python run_ablations.py flops --communication ifc --window 36 --format json
    """
    sizes = [parse_size(text) for text in frame_size or ["360x640", "720x1280"]]
    count_rows = _scope_rows if scopes else _encoder_rows
    rows = [
        row
        for model, one_size, count in dict.fromkeys(
            product(models(communication, tokens, [attention]), sizes, window or [5, 36])
        )
        for row in count_rows(model, one_size, count)
    ]
    if style == "json":
        print(json.dumps(rows, indent=1))
    else:
        print(tabulate([_readable(row) for row in rows], headers="keys", tablefmt="github"))


def _encoder_rows(model: ModelConfig, size: tuple[int, int], frames: int) -> list[dict[str, Any]]:
    from ifc_bench.measuring.macs import encoder_macs  # torch: only where it is needed

    return [{**_place(model, size, frames), "macs": encoder_macs(model, frames, *size)}]


def _scope_rows(model: ModelConfig, size: tuple[int, int], frames: int) -> list[dict[str, Any]]:
    """Count one row for each part of the network, and one for the whole."""
    from ifc_bench.measuring.counts import model_costs  # torch: only where it is needed

    costs = model_costs(model, frames, *size)
    keys = ("macs", "parameters", "bytes_moved")
    rows = {scope: {key: getattr(cost, key) for key in keys} for scope, cost in costs.items()}
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in keys}
    place = _place(model, size, frames)
    return [{**place, "scope": scope, **row} for scope, row in rows.items()]


def _place(model: ModelConfig, size: tuple[int, int], frames: int) -> dict[str, Any]:
    talk = model.communication
    memory = {"memory_tokens": talk.memory_tokens} if talk.kind == "ifc" else {}
    kind = spoken(talk) if talk.kind == "own" else talk.kind
    place = {"communication": kind, "memory_tokens": None, **memory}
    return {**place, "height": size[0], "width": size[1], "frames": frames}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Format a row with units, and add MACs per byte."""
    shown = {**row, "macs": GIGA_MACS.text(row["macs"])}
    if "bytes_moved" in row:
        shown["parameters"] = MEGA_PARAMETERS.text(row["parameters"])
        shown["bytes_moved"] = TRAFFIC.text(row["bytes_moved"])
        shown["macs/byte"] = f"{row['macs'] / row['bytes_moved']:.1f}"
    return shown
