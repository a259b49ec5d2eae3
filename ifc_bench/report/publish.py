"""A report of a set of records: tables, figures and one page.

The page needs no network: styles, script and pictures are inside.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
import matplotlib.pyplot as plt

from ifc_bench.config import Footprint
from ifc_bench.file_io import write_text, written_aside
from ifc_bench.hardware.catalogue import catalogue, gpu_model
from ifc_bench.pictures.png import title_of, write_png
from ifc_bench.recipe import Preset
from ifc_bench.records import Record
from ifc_bench.report.controls import controls_grid
from ifc_bench.report.figures import Drawing, machine_drawings, table_drawings
from ifc_bench.report.footprints import fit_grid
from ifc_bench.report.ladder import is_rung, ladder_grid
from ifc_bench.report.layout import Caution, Format, Grid, write
from ifc_bench.report.machines import ELSEWHERE, random_profiles, section_name, whence
from ifc_bench.report.oracle import has_oracle, oracle_grid
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.plots import colour_limit
from ifc_bench.report.profiles import profile_grid
from ifc_bench.report.results import AnyResults, comparing
from ifc_bench.report.significance import paper_grid, significance_grid, situation_grid
from ifc_bench.report.speeds import device_of
from ifc_bench.report.tables import lay_out
from ifc_bench.report.verdict import verdict
from ifc_bench.store import Store

_ENDINGS: dict[Format, str] = {"github": "md", "latex": "tex", "csv": "csv", "json": "json"}


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its caption, and the PNG file in base64."""

    caption: str
    png: str


@dataclass
class Section:
    """A part of the page: tables by name, and the figures that belong to them."""

    name: str
    title: str
    grids: dict[str, Grid] = field(default_factory=dict)
    drawings: list[Drawing] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def publish(
    results: Sequence[AnyResults],
    preset: Preset,
    store: Store,
    out: Path,
    machines: Sequence[Path] = (),
) -> list[Path]:
    """Write tables in every format, figures as PNG and PDF, and `index.html`; return the files.

    `machines` are more directories of records, with profiles and footprints. Pictures (PNG) under
    `pictures/` of the store's results go into the page. The same records give the same files.
    """
    stores = [store, *(Store(folder, store.runs) for folder in machines)]
    sections = [_of_table(one) for one in results]
    sections += _of_machines(stores)
    limit = colour_limit([one.comparisons for section in sections for one in section.drawings])
    written = []
    for section in sections:
        for name, grid in section.grids.items():
            for style, ending in _ENDINGS.items():
                path = out / "tables" / f"{name}.{ending}"
                write_text(path, write(grid, style))
                written.append(path)
        for drawing in section.drawings:
            path = out / "figures" / f"{section.name}-{drawing.name}.png"
            section.pictures.append(_drawn(drawing, path, limit))
            written += [path, path.with_suffix(".pdf")]
    given = Section("pictures", "Pictures")
    given.pictures += [_picture(path, title_of(path)) for path in store.pictures()]
    page = out / "index.html"
    write_text(page, _page([*sections, given], preset, stores))
    return [*written, page]


def _of_table(results: AnyResults) -> Section:
    grid, table = lay_out(results), results.table
    grid.foot += verdict(results)
    section = Section(table.name, table.title, {table.name: grid})
    if not comparing(results):
        return section
    section.drawings += table_drawings(results)
    if results.table.controls:
        section.grids[f"{table.name}-controls"] = controls_grid(results)
    if has_oracle(results):
        section.grids[f"{table.name}-oracle"] = oracle_grid(results)
    if results.table.baseline is not None:
        if results.differences:
            section.grids[f"{table.name}-significance"] = significance_grid(results)
        if results.by_situation:
            grid = situation_grid(results)
            section.grids[f"{table.name}-situation-significance"] = grid
        paper = PaperNumbers()
        if paper.has_stds(table.paper_table):
            section.grids[f"{table.name}-paper-significance"] = paper_grid(results.table, paper)
    return section


def _of_machines(stores: Sequence[Store]) -> list[Section]:
    """A section for each directory with profiles or footprints, the report's own records first."""
    here = {record.provenance.device.name for record in stores[0].records()}
    sections: list[Section] = []
    for store in stores:
        profiles = random_profiles(store)
        name = section_name(profiles, {section.name for section in sections})
        section = _of_machine(store, name, profiles)
        if section is None:
            continue
        if store is not stores[0] and profiles:
            line = whence(store.results.name, profiles, here)
            section.title += f" ({ELSEWHERE})" if isinstance(line, Caution) else ""
            section.grids[f"{name}-profile"].head.insert(0, line)
        sections.append(section)
    return sections


def _of_machine(store: Store, name: str, profiles: Sequence[Record]) -> Section | None:
    """Profiles and predicted footprints of one directory; None where it has neither."""
    predicted = [
        record
        for record in store.records("footprint")
        if isinstance(record.work, Footprint)
        and record.work.measured_on is None
        and record.work.allocator == "cuda"
    ]
    if not profiles and not predicted:
        return None
    devices = ", ".join(sorted({device_of(record) for record in profiles}))
    title = f"Speed and memory: {devices}" if profiles else "Memory, predicted for GPUs"
    section = Section(name, title)
    if profiles:
        section.grids[f"{name}-profile"] = profile_grid(profiles, PaperNumbers())
    if any(is_rung(record) for record in profiles):
        section.grids[f"{name}-ladder"] = ladder_grid(profiles)
    if predicted:
        section.grids[f"{name}-fit"] = fit_grid(predicted, [gpu_model(key) for key in catalogue()])
    section.drawings += machine_drawings(store)
    return section


def _drawn(drawing: Drawing, path: Path, limit: float) -> Picture:
    """Draw into both formats; without dates, so that the same records give the same bytes.

    Raises:
        OSError: where a file cannot be written, also when the disk is full; it names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"font.size": 9}):
        figure, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        try:
            drawing.on(ax, limit)
            with written_aside(path) as aside:
                write_png(figure, aside, dpi=110, title=drawing.caption)
            with written_aside(path.with_suffix(".pdf")) as aside:
                figure.savefig(aside, metadata={"CreationDate": None, "Producer": None})
        finally:
            plt.close(figure)
    return _picture(path, drawing.caption)


def _picture(path: Path, caption: str) -> Picture:
    return Picture(caption, base64.b64encode(path.read_bytes()).decode("ascii"))


def _page(sections: Sequence[Section], preset: Preset, stores: Sequence[Store]) -> str:
    """The page, with pictures and styles inside."""
    template = files("ifc_bench.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(
        title="ifc-bench: does communication between frames help?",
        subtitle=f"Preset {preset.name}. Made from records alone; a click on a head sorts a table.",
        sections=[s for s in sections if s.grids or s.pictures],
        warnings=list(dict.fromkeys(_warnings(sections))),
        provenance=list(_provenance(stores)),
    )


def _warnings(sections: Iterable[Section]) -> Iterator[str]:
    """Cautions of all tables."""
    for section in sections:
        for grid in section.grids.values():
            for line in grid.head:
                if isinstance(line, Caution):
                    yield f"{grid.title}: {line}"


def _provenance(stores: Iterable[Store]) -> Iterator[tuple[str, str]]:
    """Code, devices and packages behind the records, each once."""
    found: dict[str, set[str]] = {}
    count = 0
    for store in stores:
        for record in store.records("training", "evaluation", "profile", "footprint"):
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
