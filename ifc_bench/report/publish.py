"""Everything that a set of records has to show, as files: tables, figures and one page.

The page needs no network: styles, script and pictures are inside.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from ifc_bench.recipe import AnyTable, Preset, Table, TableOfCounts, TableOfMethods
from ifc_bench.report import frames, plots
from ifc_bench.report.layout import Format, Grid, write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.significance import compare_rows, paper_grid, significance_grid
from ifc_bench.report.speeds import device_of
from ifc_bench.report.tables import lay_out
from ifc_bench.store import Store, write_text

Draw = Callable[..., Axes]

_ENDINGS: dict[Format, str] = {"github": "md", "latex": "tex", "csv": "csv", "json": "json"}
_NO_DATE = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}


@dataclass(frozen=True)
class Figure:
    """A picture, as it lies under `figures/`."""

    name: str
    caption: str
    png: str


@dataclass(frozen=True)
class NamedGrid:
    """A table of the page."""

    name: str
    grid: Grid


def publish(tables: Sequence[AnyTable], preset: Preset, store: Store, out: Path) -> list[Path]:
    """Write tables in every format, figures as PNG and PDF, and `index.html`; gives the files.

    The same records give the same files.
    """
    grids = list(_grids(tables, preset, store))
    written = []
    for named in grids:
        for style, ending in _ENDINGS.items():
            path = out / "tables" / f"{named.name}.{ending}"
            write_text(path, write(named.grid, style))
            written.append(path)
    figures = []
    for table in tables:
        if isinstance(table, Table) and not isinstance(table, TableOfMethods):
            figures += _figures(table, preset, store, out / "figures")
    for figure in figures:
        written += [out / "figures" / f"{figure.name}.{ending}" for ending in ("png", "pdf")]
    page = out / "index.html"
    write_text(page, _page(grids, figures, preset, store))
    return [*written, page]


def _grids(tables: Sequence[AnyTable], preset: Preset, store: Store) -> Iterator[NamedGrid]:
    for table in tables:
        yield NamedGrid(table.name, lay_out(table, preset, store))
        if isinstance(table, TableOfCounts | TableOfMethods) or table.baseline is None:
            continue
        if compare_rows(table, preset, store):
            grid = significance_grid(table, preset, store)
            yield NamedGrid(f"{table.name}-significance", grid)
        paper = PaperNumbers()
        if paper.has_stds(table.paper_table):
            yield NamedGrid(f"{table.name}-paper-significance", paper_grid(table, paper))


def _figures(table: Table, preset: Preset, store: Store, folder: Path) -> list[Figure]:
    """Every figure that the records of `table` can fill."""
    return [
        _drawn(f"{table.name}-{name}", f"{table.title}: {caption}", draw, folder)
        for name, caption, draw in _drawings(table, preset, store)
    ]


def _drawings(table: Table, preset: Preset, store: Store) -> Iterator[tuple[str, str, Draw]]:
    """A name, a caption and what draws it on axes."""
    summary = frames.summary_frame(table, preset, store)
    if summary.empty:
        return
    own_windows = any(row.window for row in table.rows)
    if summary["T"].nunique() > 1 and not own_windows:
        yield "windows", "AP over T", partial(plots.accuracy_over_windows, summary)
    if summary["row"].str.startswith("M=").all():
        yield "tokens", "AP over memory tokens", partial(plots.accuracy_over_tokens, summary)
    speeds = frames.speeds_frame(table, preset, store)
    if speeds["device"].nunique() == 1:
        draw = partial(plots.accuracy_against_speed, summary, speeds)
        yield "speed", "AP against speed", draw
    curves = frames.curves_frame(table, preset, store)
    for curve in dict.fromkeys(curves["curve"]):
        draw = partial(plots.training_curves, curves, curve)
        yield curve.lower(), f"{curve} over the training", draw
    differences = compare_rows(table, preset, store) if table.baseline else []
    if differences and not own_windows:
        draw = partial(plots.difference_map, differences, table.baseline or "")
        yield "differences", "differences to the baseline", draw
    for name, by, value, label, found in (
        ("situations", "situation", "value", "AP (%)", frames.situations_frame),
        ("errors", "error", "cost", "AP50 that the error costs (points)", frames.errors_frame),
    ):
        frame = found(table, preset, store)
        if not frame.empty and not own_windows:
            longest = frame["T"].max()
            draw = partial(plots.grouped_bars, frame[frame["T"] == longest], by, value, label)
            yield name, f"{name}, T = {longest:.0f}", draw


def _drawn(name: str, caption: str, draw: Draw, folder: Path) -> Figure:
    """Draw into both formats; without dates, so that the same records give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "ifc-bench", "font.size": 9}):
        figure, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        draw(ax=ax)
        for ending, metadata in _NO_DATE.items():
            figure.savefig(folder / f"{name}.{ending}", dpi=110, metadata=metadata)
        plt.close(figure)
    png = base64.b64encode((folder / f"{name}.png").read_bytes()).decode("ascii")
    return Figure(name, caption, png)


def _page(
    grids: Sequence[NamedGrid], figures: Sequence[Figure], preset: Preset, store: Store
) -> str:
    """The page, with everything that it shows inside."""
    template = files("ifc_bench.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        title="ifc-bench: does communication between frames help?",
        subtitle=f"Preset {preset.name}. Made from records alone; a click on a head sorts a table.",
        tables=grids,
        figures=figures,
        warnings=list(dict.fromkeys(_warnings(grids))),
        provenance=list(_provenance(store)),
    )


def _warnings(grids: Iterable[NamedGrid]) -> Iterator[str]:
    """What every table's head warns of."""
    signs = ("warning", "incomplete", "! not to be trusted")
    for named in grids:
        for line in named.grid.head:
            if line.startswith(signs):
                yield f"{named.grid.title}: {line}"


def _provenance(store: Store) -> Iterator[tuple[str, str]]:
    """What the records were made with, each once."""
    found: dict[str, set[str]] = {}
    count = 0
    for record in store.records("training", "evaluation", "profile"):
        count += 1
        origin = record.provenance
        dirty = " (with changes)" if origin.git_dirty else ""
        for name, value in (
            ("code", (origin.git_revision or "no commit")[:12] + dirty),
            ("device", device_of(record)),
            ("platform", origin.platform),
            ("python", origin.python),
            *origin.packages.items(),
        ):
            found.setdefault(name, set()).add(value)
    yield "records", str(count)
    for name, values in sorted(found.items()):
        yield name, ", ".join(sorted(values))
