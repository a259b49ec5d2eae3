"""The console script `ifc-bench`: `run_ablations.py` where a clone is, and what needs no recipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifc_bench.cli import main
from ifc_bench.cli.later import Later

_RECIPES = Path("ablations") / "__init__.py"


def console() -> None:
    """Run the command line with the recipes of the clone that is the working directory, if any."""
    tables, presets = _recipes(Path.cwd())
    sys.exit(main(tables, presets))


def _recipes(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Tables and presets of the clone in `folder`; empty outside of one.

    Nothing is imported from a directory that is no clone.
    """
    if not ((folder / _RECIPES).is_file() and (folder / "run_ablations.py").is_file()):
        return {}, {}
    sys.path.insert(0, str(folder))
    return Later("ablations", "TABLES"), Later("ablations", "PRESETS")
