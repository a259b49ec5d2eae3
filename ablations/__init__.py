"""Recipes: the tables of the paper, our own tables, and the presets. No logic."""

from ablations.clip_length import clip_length
from ablations.decide import decide
from ablations.decoder import decoder
from ablations.knock_out import knock_out
from ablations.own import own
from ablations.presets import PRESETS
from ablations.table1 import table1
from ablations.table2a import table2a
from ablations.table2b import table2b
from ablations.table2c import table2c
from ablations.table2d import table2d
from ablations.table3a import table3a
from ablations.table3b import table3b
from ablations.table3c import table3c
from ablations.table3d import table3d
from ablations.table4 import table4a, table4b, table4c
from ablations.why_memory import why_memory

TABLES = {
    recipe.__name__: recipe
    for recipe in (
        table1,
        table2a,
        table2b,
        table2c,
        table2d,
        table3a,
        table3b,
        table3c,
        table3d,
        decoder,
        clip_length,
        decide,
        knock_out,
        own,
        table4a,
        table4b,
        table4c,
        why_memory,
    )
}

__all__ = ["PRESETS", "TABLES"]
