"""Benchmark and ablation harness for inter-frame communication in video instance segmentation.

For notebooks and scripts: `load_results`, `compare_rows`, `evaluate`, `profile`, `load_model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifc_bench.api import compare_rows, evaluate, load_model, load_results, profile

__all__ = ["compare_rows", "evaluate", "load_model", "load_results", "profile"]


def __getattr__(name: str) -> Any:
    """Import `ifc_bench.api` on first use, so that `import ifc_bench` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ifc_bench import api

    return getattr(api, name)
