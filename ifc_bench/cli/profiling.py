"""`profile`: speed, memory and energy of every variant on this machine."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from ifc_bench.cli.numbers import MOST_FRAMES, MOST_THREADS, number
from ifc_bench.cli.options import ExpectGpu, Style, refuse_other_card, results_for
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
from ifc_bench.config import (
    Arithmetic,
    AttentionKernel,
    FolderData,
    ModelConfig,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
)
from ifc_bench.data.catalogue import adopt_clips
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.records import Record
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.speeds import variant
from ifc_bench.store import Store, write_text

_DEFAULT = Protocol()
_MOST_PROCESSES, _MOST_PASSES, _MOST_SECONDS, _MOST_CLIPS = 1000, 1_000_000, 86_400, 100_000
_SPECIAL = ("efficient", "flash")  # not there on every device


def _seconds(told: str) -> Any:
    return typer.Option(min=0.001, max=_MOST_SECONDS, callback=number, help=told)


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("profile")
    def profile_command(
        communication: Kinds = None,
        tokens: Tokens = None,
        frames: Windows = None,
        size: Sizes = None,
        stride: Annotated[int, typer.Option(min=1, max=MOST_FRAMES, help="S.")] = 1,
        offline: Annotated[bool, typer.Option(help="Also one window for the whole video.")] = False,
        length: Annotated[
            int,
            typer.Option(min=1, max=MOST_FRAMES, help="Frames of the synthetic video (noise)."),
        ] = 36,
        data: Annotated[
            Optional[Path], typer.Option(help="Real clips: a folder in the YouTube-VIS format.")
        ] = None,
        videos: Annotated[
            int, typer.Option(min=1, max=_MOST_CLIPS, help="How many clips of --data.")
        ] = 8,
        instances: Annotated[
            int, typer.Option(min=1, help="Objects that random weights find in a window.")
        ] = 10,
        attention: Attentions = None,
        precision: Precisions = None,
        compiled: Annotated[bool, typer.Option("--compile", help="With torch.compile.")] = False,
        channels_last: Annotated[bool, typer.Option(help="Order of convolution tensors.")] = True,
        cudnn_benchmark: Annotated[bool, typer.Option(help="cuDNN tries algorithms.")] = False,
        deterministic: Annotated[bool, typer.Option(help="Deterministic algorithms.")] = False,
        processes: Annotated[
            int, typer.Option(min=1, max=_MOST_PROCESSES, help="Processes a row.")
        ] = _DEFAULT.processes,
        min_passes: Annotated[
            int, typer.Option(min=1, max=_MOST_PASSES, help="Passes a process, at least.")
        ] = _DEFAULT.min_passes,
        min_seconds: Annotated[
            float, _seconds("Seconds a process, at least.")
        ] = _DEFAULT.min_seconds,
        max_seconds: Annotated[
            float, _seconds("Seconds a process, at most.")
        ] = _DEFAULT.max_seconds,
        target: Annotated[
            float,
            typer.Option(
                min=1e-6,
                max=1,
                callback=number,
                help="Half width of the median's 95% interval to reach, as a share of it.",
            ),
        ] = _DEFAULT.target,
        device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
        threads: Annotated[
            int, typer.Option(min=1, max=MOST_THREADS, help="Threads of a processor.")
        ] = 1,
        expect_gpu: ExpectGpu = None,
        results: Annotated[
            Path, typer.Option(help="Where records lie; {device} stands for the device's name.")
        ] = Path("results"),
        runs: Annotated[Path, typer.Option(help="Where unfinished work lies.")] = Path("runs"),
        style: Style = "github",
    ) -> None:
        """Measure FPS, latency, memory and energy, scope by scope; write records, print a table.

        Every row is measured in several processes, all rows taking turns. What has a record is not
        measured again; an interrupted session goes on where it was. The table under the results
        folder holds all that was measured into it.

        Example: python run_ablations.py profile --communication none ifc --frames 5 20
        --size 96x160 --length 20 --processes 3
        """
        described = describe_device(resolve_device(device), threads)
        refuse_other_card(expect_gpu, described.name)
        results = results_for(results, described)
        store = Store(results, runs)
        real = adopt_clips(data, store) if data else None
        windows: list[int | None] = [*(frames or DEFAULT_WINDOWS), *([None] if offline else [])]
        protocol = Protocol(
            processes=processes,
            min_passes=min_passes,
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            target=target,
        )

        def work(
            model: ModelConfig, place: str, window: int | None, precision: Arithmetic
        ) -> Profile:
            height, width = parse_size(place)
            short = min(height, width) if real and size else None
            return Profile(
                weights=RandomWeights(model=model, instances=instances),
                footage=real or NoiseFrames(frames=length, height=height, width=width),
                videos=videos if real else 1,
                window=window,
                stride=stride if window else 1,
                size=short,
                device=described.name,
                threads=described.threads or 1,
                precision=precision,
                compiled=compiled,
                channels_last=channels_last,
                cudnn_benchmark=cudnn_benchmark,
                deterministic=deterministic,
                protocol=protocol,
            )

        chosen = models(communication, tokens, attentions(attention, ["materialised"]))
        grid = product(chosen, size or ["360x640"], windows, precisions(precision))
        works = list(dict.fromkeys(work(*place) for place in grid))
        _refuse_short(works, real, length)
        _refuse_contradictions(works, instances, protocol)
        measure(works, store, resolve_device(device))
        records = [record for one in works if (record := store.load(one)) is not None]
        text = render_profiles(records, style, PaperNumbers())
        print(text)
        everything = render_profiles(store.records("profile"), paper=PaperNumbers())
        write_text(results / "tables" / "profile.md", everything)
        failed = [record for record in records if record.status == "failed"]
        if failed:
            last = (failed[0].error or "").strip().splitlines()[-1]
            raise UserError(f"{len(failed)} rows failed, the first with {last}; run again to retry")


def measure(works: list[Profile], store: Store, device: str) -> list[Record]:
    """Measure what has no record yet, with a bar; count what a clip of each costs."""
    from ifc_bench.measuring.counting import count_all
    from ifc_bench.measuring.profiles import measure_profiles

    store.prepare()
    left = [work for work in works if not store.done(work)]
    _require_kernels(left, device)
    console = Console(stderr=True, highlight=False)
    if left:
        count = sum(work.protocol.processes for work in left)
        console.print(f"{len(left)} rows on {left[0].device}, {count} processes, one at a time")
    made = []
    with bar("profile") as tell:

        def show(work: Profile | None, done: int, total: int) -> None:
            if work is None:
                console.print("another runner measures on this machine; waiting for its end")
                return
            tell(done, total)
            if not console.is_terminal and done % 10 == 0:
                window = work.window or "video"
                console.print(f"[{done}/{total}] {variant(work.model)} T={window}")

        for record in measure_profiles(left, store, device, show):
            made.append(record)
    count_all([clip for work in works if (clip := work.clip_count)], store)
    return made


def _refuse_short(works: list[Profile], real: FolderData | None, length: int) -> None:
    """A window that is longer than the synthetic video would measure a shorter one."""
    longest = max((work.window or 0 for work in works), default=0)
    if real is None and longest > length:
        raise UserError(
            f"--frames: T = {longest} is longer than the video of --length {length} frames; "
            f"ask for --length {longest}"
        )


def _refuse_contradictions(works: list[Profile], instances: int, protocol: Protocol) -> None:
    """More objects than queries can show would be fewer, and seconds at most are at most."""
    most = min(work.model.queries for work in works) - 1
    if instances > most:
        raise UserError(
            f"--instances: {instances} is more than random weights can find, {most} with "
            f"{most + 1} queries; ask for at most that"
        )
    least, longest = protocol.min_seconds, protocol.max_seconds
    if least > longest and least != _DEFAULT.min_seconds:
        raise UserError(
            f"--min-seconds: {least:g} is more than the {longest:g} of --max-seconds; ask for less"
        )


def _require_kernels(works: list[Profile], device: str) -> None:
    """Try every attention kernel once, before hours of other work.

    In a process of its own: CUDA in this one would look like a stranger on the card.

    Raises:
        UserError: where one is not available.
    """
    from ifc_bench.measuring.isolation import in_process

    special = {(w.model.attention, w.precision) for w in works if w.model.attention in _SPECIAL}
    for kernel, precision in sorted(special):
        in_process(_try_kernel, kernel, precision, device)


def _try_kernel(kernel: AttentionKernel, precision: Arithmetic, device: str) -> None:
    import torch

    from ifc_bench.measuring.speed import DTYPES
    from ifc_bench.models.attention import require_kernel

    require_kernel(kernel, torch.device(device), DTYPES[precision])
