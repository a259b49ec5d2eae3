"""Modules and rows that several tables share."""

from ifc_bench.config import Communication, DecompTHW, FullTHW, InterFrame, NoComm
from ifc_bench.recipe import Preset, Row

COMMUNICATIONS: dict[str, Communication] = {
    "No Comm": NoComm(),
    "Full THW": FullTHW(),
    "Decomp T-HW": DecompTHW(),
    "IFC": InterFrame(),
}


def both_modes(preset: Preset) -> tuple[Row, Row]:
    """The preset's model near-online in windows of 5, and offline."""
    return (
        Row.of(preset, "IFC near-online", testing={"window": 5}),
        Row.of(preset, "IFC offline", testing={"window": None}),
    )
