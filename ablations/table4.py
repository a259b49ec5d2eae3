"""Table 4: the standard deviations of Table 3, from the same runs."""

from ablations.table3a import table3a
from ablations.table3c import table3c
from ablations.table3d import table3d
from ifc_bench.recipe import Preset, Table


def table4a(preset: Preset) -> Table:
    """Standard deviations of Table 3(a)."""
    return _stds(table3a(preset), "table4a", "Table 4(a): std over communication")


def table4b(preset: Preset) -> Table:
    """Standard deviations of Table 3(c)."""
    return _stds(table3c(preset), "table4b", "Table 4(b): std over memory tokens")


def table4c(preset: Preset) -> Table:
    """Standard deviations of Table 3(d)."""
    return _stds(table3d(preset), "table4c", "Table 4(c): std over memory grouping")


def _stds(table: Table, name: str, title: str) -> Table:
    """The same runs without the FPS column: a single FPS measurement has no std."""
    metrics = tuple(metric for metric in table.metrics if metric != "FPS")
    return table.model_copy(
        update={"name": name, "title": title, "statistic": "std", "metrics": metrics}
    )
