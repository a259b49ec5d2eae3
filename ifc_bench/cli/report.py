"""`report`: tables from records alone, or a whole report with figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.answers import Answers
from ifc_bench.cli.choice import Choice
from ifc_bench.cli.options import Compare, ExpectGpu, Injected, Style, Tables, refuse_other_gpu
from ifc_bench.errors import UserError
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.presence import refuse_nothing
from ifc_bench.report.results import read_all

_CHOICE = Choice()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    style: Style = "github",
    compare: Compare = None,
    situation: Annotated[
        str | None, Parameter(help="Accuracies on the videos of one situation.")
    ] = None,
    expect_gpu: ExpectGpu = None,
    out: Annotated[
        Path | None,
        Parameter(help="Write tables in all formats, figures and index.html to this directory."),
    ] = None,
    machines: Annotated[
        Path | None,
        Parameter(
            help="Parent of directories with profiles and footprints, which --out adds. Default: "
            "results/machines, if it exists."
        ),
    ] = None,
    recipes: Injected,
) -> None:
    """Print tables from records alone, or write a report with figures.

    Example: python run_ablations.py report table3a --preset full --compare paper

    Figures and a page: python run_ablations.py report --out report
    """
    preset, store = choice.resolved(recipes), choice.store()
    found = read_all(choice.tables(recipes, tables, preset), preset, store)
    if out is not None:
        refuse_nothing(found, preset, store, recipes.tables, recipes.presets)
        if machines is not None and not machines.is_dir():
            raise UserError(f"--machines: {machines}: no such directory")
        from ifc_bench.report.publish import publish  # matplotlib: only where it is needed

        beside = machines or Path("results/machines")
        folders = sorted(path for path in beside.glob("*") if path.is_dir())
        for path in publish(found, preset, store, out, folders):
            print(path)
        return
    paper = PaperNumbers() if compare else None
    answers = Answers(recipes, preset, store, style, paper, situation)
    answers.refuse_empty(found)
    for one in found:
        if paper is not None:
            for device in one.devices:
                refuse_other_gpu(expect_gpu, device)
        print(answers.text(one))
