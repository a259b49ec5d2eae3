"""The console script `ifc-bench`: like `run_ablations.py`; outside a clone, without recipes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifc_bench.cli import main
from ifc_bench.cli.later import Later

_RECIPES = Path("ablations") / "__init__.py"


def console() -> None:
    """Run the command line, with recipes if the working directory is a clone."""
    tables, presets = _recipes(Path.cwd())
    sys.exit(main(tables, presets))


def _recipes(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Import tables and presets of the clone in `folder`; empty if it is not a clone.

    Nothing is imported from a directory that is not a clone.
    """
    if not ((folder / _RECIPES).is_file() and (folder / "run_ablations.py").is_file()):
        return {}, {}
    sys.path.insert(0, str(folder))
    return Later("ablations", "TABLES"), Later("ablations", "PRESETS")
