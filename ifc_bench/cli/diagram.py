"""`diagram`: draw the network with the shapes and parameters of its parts."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.attention import Picture, require_png
from ifc_bench.cli.models import communication_of, parse_size
from ifc_bench.cli.options import MOST_FRAMES, MOST_TOKENS, Injected, number


def command(
    *,
    out: Picture,
    communication: Annotated[
        str, Parameter(help="none, full, decomposed, ifc, or package.module:Class.")
    ] = "ifc",
    tokens: Annotated[int, number("Memory tokens M of ifc.", 0, MOST_TOKENS)] = 8,
    window: Annotated[int, number("T: frames of the clip.", 1, MOST_FRAMES)] = 5,
    frame_size: Annotated[str, Parameter(help="Frame size, HEIGHTxWIDTH in pixels.")] = "360x640",
    preset: Annotated[str, Parameter(help="The preset whose network is drawn.")] = "released",
    recipes: Injected,
) -> None:
    """Draw the network with the shapes and parameters of its parts (paper, Figure 3).

    Example: python run_ablations.py diagram --communication ifc --out network.png
    """
    require_png(out)
    from ifc_bench.models.inspection import parts
    from ifc_bench.pictures.diagram import diagram  # torch: only where it is needed
    from ifc_bench.pictures.strips import save

    height, width = parse_size(frame_size)
    talk = communication_of(communication, tokens)
    model = recipes.preset(preset).model.model_copy(update={"communication": talk})
    found = parts(model, window, height, width)
    named = f"M = {tokens}, " if communication == "ifc" else ""
    title = f"{communication}, {named}T = {window}, {frame_size}, network of preset {preset}"
    save(diagram(found, (window, height, width), title), out)
    print(f"{out}: {sum(part.parameters for part in found):,} parameters")
