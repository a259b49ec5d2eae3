"""`flops`: count MACs of the encoder, or of every part of the network."""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from tabulate import tabulate

from ifc_bench.cli.models import (
    FrameSizes,
    Kinds,
    Networks,
    Tokens,
    models,
    networks,
    parse_size,
    with_own,
)
from ifc_bench.cli.options import MOST_FRAMES, number
from ifc_bench.config import (
    AttentionKernel,
    Count,
    ModelConfig,
    OwnNetwork,
    variant_kind,
    variant_name,
)
from ifc_bench.errors import UserError
from ifc_bench.report.quantities import ABSENT, GIGA_MACS, MEGA_PARAMETERS, TRAFFIC


def command(
    *,
    communication: Kinds = None,
    model: Networks = None,
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
    own = networks(model)
    if own and not scopes:
        raise UserError("--model: is counted in all parts, and not its encoder alone; add --scopes")
    chosen = with_own(models(communication, tokens, [attention]), own, communication)
    rows = [
        row
        for one, one_size, frames in dict.fromkeys(product(chosen, sizes, window or [5, 36]))
        for row in (_scope_rows if scopes else _encoder_rows)(one, one_size, frames)
    ]
    if style == "json":
        print(json.dumps(rows, indent=1))
    else:
        print(tabulate([_readable(row) for row in rows], headers="keys", tablefmt="github"))


def _encoder_rows(
    model: ModelConfig | OwnNetwork, size: tuple[int, int], frames: int
) -> list[dict[str, Any]]:
    from ifc_bench.measuring.macs import encoder_macs  # torch: only where it is needed

    assert isinstance(model, ModelConfig)
    return [{**_place(model, size, frames), "macs": encoder_macs(model, frames, *size)}]


def _scope_rows(
    model: ModelConfig | OwnNetwork, size: tuple[int, int], frames: int
) -> list[dict[str, Any]]:
    """Count one row for each part of the network, and one for the whole.

    A user's own network that cannot be counted has one row without numbers; stderr says why.
    """
    from ifc_bench.measuring.counts import counted  # torch: only where it is needed

    height, width = size
    work = Count(model=model, frames=frames, height=height, width=width, scopes=True)
    result = counted(work)
    keys = ("macs", "parameters", "bytes_moved")
    if result.scopes is None:
        name = variant_name(model)
        print(f"note: MACs of {name} are not counted: {result.not_counted}", file=sys.stderr)
        return [{**_place(model, size, frames), "scope": "all", **dict.fromkeys(keys)}]
    costs = result.scopes
    rows = {scope: {key: getattr(cost, key) for key in keys} for scope, cost in costs.items()}
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in keys}
    place = _place(model, size, frames)
    return [{**place, "scope": scope, **row} for scope, row in rows.items()]


def _place(model: ModelConfig | OwnNetwork, size: tuple[int, int], frames: int) -> dict[str, Any]:
    kind, tokens = variant_kind(model), None
    if isinstance(model, OwnNetwork) or kind == "own":
        kind = variant_name(model)
    elif kind == "ifc":
        tokens = model.communication.memory_tokens
    place = {"communication": kind, "memory_tokens": tokens}
    return {**place, "height": size[0], "width": size[1], "frames": frames}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Format a row with units, and add MACs per byte."""
    if row["macs"] is None:
        return {key: ABSENT if value is None else value for key, value in row.items()}
    shown = {**row, "macs": GIGA_MACS.text(row["macs"])}
    if "bytes_moved" in row:
        shown["parameters"] = MEGA_PARAMETERS.text(row["parameters"])
        shown["bytes_moved"] = TRAFFIC.text(row["bytes_moved"])
        moved = row["bytes_moved"]
        shown["macs/byte"] = f"{row['macs'] / moved:.1f}" if moved else ABSENT
    return shown
