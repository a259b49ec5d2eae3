"""`fit`: what a card would hold, and how fast it would be, without the card."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from ifc_bench.cli.numbers import MOST_THREADS
from ifc_bench.cli.options import Style, results_for
from ifc_bench.cli.progress import bar
from ifc_bench.cli.variants import (
    DEFAULT_WINDOWS,
    Attentions,
    Kinds,
    Precisions,
    Sizes,
    Tokens,
    Windows,
    attentions,
    models,
    parse_size,
    precisions,
)
from ifc_bench.config import Arithmetic, Footprint, ModelConfig
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel, card
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.records import Record
from ifc_bench.report.footprints import render_check, render_fits, render_largest
from ifc_bench.report.forecast import render_forecast
from ifc_bench.report.layout import Format
from ifc_bench.store import Store, write_text

_MOST_CLIPS = 1024
_CARDS = ["rtx-2080ti", "v100-16gb", "v100-32gb"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("fit")
    def fit_command(
        gpu: Annotated[
            Optional[list[str]],
            typer.Option(help=f"Cards of the catalogue. Default: {' '.join(_CARDS)}."),
        ] = None,
        purpose: Annotated[
            Literal["inference", "training"], typer.Option("--for", help="What is to fit.")
        ] = "inference",
        communication: Kinds = None,
        tokens: Tokens = None,
        frames: Windows = None,
        size: Sizes = None,
        attention: Attentions = None,
        precision: Precisions = None,
        clips: Annotated[
            int, typer.Option(min=1, max=_MOST_CLIPS, help="Clips of a training batch.")
        ] = 2,
        largest: Annotated[
            Optional[Literal["frames", "size"]],
            typer.Option(help="Also search the largest T, or frame size (16:9), that fits."),
        ] = None,
        check: Annotated[
            bool, typer.Option("--check", help="Also measure each on --device; print the error.")
        ] = False,
        emulate: Annotated[
            Optional[str],
            typer.Option(help="With --check: cap this GPU's memory at that of a card."),
        ] = None,
        forecast: Annotated[
            Optional[Path],
            typer.Option(help="Also predict FPS, learning from the profiles of that folder."),
        ] = None,
        device: Annotated[str, typer.Option(help="For --check: auto, cpu or cuda:N.")] = "auto",
        threads: Annotated[
            int, typer.Option(min=1, max=MOST_THREADS, help="Threads of a processor.")
        ] = 1,
        results: Annotated[
            Path, typer.Option(help="Where records lie; {device} stands for the device's name.")
        ] = Path("results"),
        style: Style = "github",
    ) -> None:
        """Predict the peak memory of each variant, and whether cards hold it.

        The real modules run on fake tensors: no memory, no GPU.

        Example: python run_ablations.py fit --gpu v100-16gb v100-32gb --frames 20 36
        --size 720x1280
        """
        cards = [card(key) for key in dict.fromkeys(gpu or _CARDS)]
        kernels = attentions(attention, ["materialised", "efficient"])
        chosen = models(communication, tokens, kernels)
        types = precisions(precision)
        sizes = [parse_size(text) for text in size or ["360x640"]]

        def work(
            model: ModelConfig, place: tuple[int, int], count: int, kind: Arithmetic
        ) -> Footprint:
            return Footprint(
                model=model,
                purpose=purpose,
                frames=count,
                height=place[0],
                width=place[1],
                clips=clips if purpose == "training" else 1,
                precision=kind,
            )

        grid = product(chosen, sizes, frames or DEFAULT_WINDOWS, types)
        works = list(dict.fromkeys(work(*place) for place in grid))
        if emulate and not check:
            raise UserError("--emulate: goes with --check, which runs for real")
        described = describe_device(resolve_device(device), threads)
        if emulate and described.kind == "cpu":
            raise UserError("--emulate: needs a CUDA device; this is a processor")
        profiles = _profiles(results_for(forecast, described)) if forecast else []
        results = results_for(results, described)
        store = Store(results, results)  # nothing is kept under runs, so no such folder is made
        store.prepare()
        from ifc_bench.measuring import fitting  # torch: only where it is needed

        with bar("predict") as tell:
            shown = [render_fits(fitting.predict_all(works, store, tell), cards, style)]
        if largest:
            with bar("search") as tell:
                found = fitting.largest(works, cards, largest, tell)
            shown.append(render_largest(found, style))
        if forecast:
            shown.append(_forecast(works, cards, profiles, style))
        if check:
            with bar("measure") as tell:
                pairs = fitting.check_all(
                    works, store, resolve_device(device), described, emulate, tell
                )
            shown.append(render_check(pairs, f"{described.name}'s allocator", style))
        text = "\n".join(shown)
        print(text)
        if style == "github":
            write_text(results / "tables" / f"fit-{purpose}.md", text)


def _profiles(folder: Path) -> list[Record]:
    """What `--forecast` learns from.

    Raises:
        UserError: where the folder has no profile that was measured scope by scope.
    """
    from ifc_bench.measuring.roofline import learn  # torch: only where it is needed

    found = list(Store(folder, Path("runs")).records("profile"))
    if learn(found) is None:
        raise UserError(
            f"--forecast: {folder}: has no profiles with scopes; run profile first, or name "
            "another folder"
        )
    return found


def _forecast(
    works: list[Footprint], cards: list[GpuModel], profiles: list[Record], style: Format
) -> str:
    from ifc_bench.measuring.roofline import forecasts  # torch: only where it is needed

    found = forecasts(works, cards, profiles)
    learned = found.efficiency
    return render_forecast(found.rows, cards, found.fps, learned.learned_from, learned.error, style)
