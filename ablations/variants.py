"""Modules and rows that several tables share."""

from ifc_bench.config import VARIANTS
from ifc_bench.recipe import Preset, Row

COMMUNICATIONS = {variant.label: variant.communication for variant in VARIANTS}


def both_modes(preset: Preset) -> tuple[Row, Row]:
    """The preset's model near-online in windows of 5, and offline."""
    return (
        Row.of(preset, "IFC near-online", testing={"window": 5}),
        Row.of(preset, "IFC offline", testing={"window": None}),
    )
