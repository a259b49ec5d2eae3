"""Options that several commands share, each group a dataclass that a command takes whole."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, get_type_hints

import typer

from ifc_bench.cli.numbers import (
    MOST_FRAMES,
    MOST_ITERATIONS,
    MOST_SEEDS,
    MOST_SIDE,
    MOST_THREADS,
)
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sources import with_data, with_start
from ifc_bench.data.catalogue import LAYOUTS
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import same_card
from ifc_bench.hardware.device import describe_device, resolve_device, usable_cores
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.records import Device, Status
from ifc_bench.store import Store
from ifc_bench.sweep.executors import Settings

Style = Annotated[
    Literal["github", "latex", "csv", "json"],
    typer.Option("--format", help="How to write the tables."),
]


ExpectGpu = Annotated[
    Optional[str],
    typer.Option(help='Refuse any other card than this, such as "RTX 2080 Ti".'),
]


def refuse_other_card(expected: str | None, name: str) -> None:
    """Let a device pass if it is the card that is `expected`, or none is.

    Raises:
        UserError: where it is another.
    """
    if expected is not None and not same_card(expected, name):
        raise UserError(
            f"--expect-gpu: {expected!r} is expected, {name!r} is here; measure on that card, or "
            "leave the option out"
        )


def results_for(results: Path, device: Device) -> Path:
    """`results` with `{device}` replaced by the device's name, fit for a folder."""
    name = "".join(c if c.isalnum() else "-" for c in device.name.lower())
    return Path(str(results).replace("{device}", "-".join(filter(None, name.split("-")))))


Retry = Literal["oom", "diverged", "all"]
_RETRIED: dict[Retry, tuple[Status, ...]] = {
    "oom": ("out_of_memory",),
    "diverged": ("diverged",),
    "all": ("out_of_memory", "diverged"),
}
RetryOption = Annotated[
    Optional[Retry],
    typer.Option(
        "--retry",
        help="Do again what ran out of memory (oom), diverged, or all; what failed always is.",
    ),
]


@dataclass(frozen=True)
class Choice:
    """What to work on: preset, data, weights, and where records lie."""

    preset: Annotated[
        str, typer.Option(help="smoke, quick, full; paper and released need --data.")
    ] = "quick"
    seeds: Annotated[
        Optional[int],
        typer.Option(min=1, max=MOST_SEEDS, help="Seeds 0..N-1 instead of the preset's number."),
    ] = None
    window: Annotated[
        Optional[list[int]],
        typer.Option(
            min=1, max=MOST_FRAMES, help="T of testing instead of the preset's; repeat for more."
        ),
    ] = None
    data: Annotated[
        Optional[Path],
        typer.Option(help="The folder of your data: needed by a preset, or instead of its own."),
    ] = None
    dataset: Annotated[
        Optional[str],
        typer.Option(
            help=f"What it holds: {', '.join(LAYOUTS)}. Default: the preset's, or folder."
        ),
    ] = None
    start: Annotated[
        Optional[Path],
        typer.Option(help="Weights to start from: a ResNet's of ImageNet, or a released IFC."),
    ] = None
    size: Annotated[
        Optional[int],
        typer.Option(
            min=32, max=MOST_SIDE, help="Shorter side of frames, in training and in testing."
        ),
    ] = None
    precision: Annotated[
        Optional[Literal["float32", "bfloat16", "float16"]],
        typer.Option(help="Arithmetic of training; other than float32 is mixed precision."),
    ] = None
    iterations: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            max=MOST_ITERATIONS,
            help="Iterations on videos; the rate drops in proportion.",
        ),
    ] = None
    compiled: Annotated[bool, typer.Option("--compile", help="Train with torch.compile.")] = False
    own: Annotated[
        Optional[list[str]],
        typer.Option(
            help="Your communication module, package.module:Class, as a row; repeat for more."
        ),
    ] = None
    results: Annotated[Path, typer.Option(help="Where records and tables lie.")] = Path("results")
    runs: Annotated[Path, typer.Option(help="Where checkpoints and data lie.")] = Path("runs")

    def store(self, retry: Retry | None = None) -> Store:
        """The records; those of what failed, or of what `retry` names, give way to new ones."""
        more = _RETRIED[retry] if retry else ()
        return Store(self.results, self.runs, frozenset({"failed", *more}))

    def tables(self, recipes: Recipes, names: list[str] | None, preset: Preset) -> list[AnyTable]:
        """The tables of `names` for `preset`, with a row for each module of `--own`.

        Raises:
            UserError: where an option names what is not there.
        """
        return recipes.chosen(names, preset, self.own or ())

    def resolved(self, recipes: Recipes) -> Preset:
        """The preset with everything that the options change.

        Raises:
            UserError: where an option names what is not there.
        """
        if self.dataset is not None and self.dataset not in LAYOUTS:
            raise UserError(f"--dataset: {self.dataset!r} is none of {', '.join(LAYOUTS)}")
        preset = recipes.preset(self.preset, self.seeds, self.window)
        preset = with_start(preset, self.start, self.store())  # it may make images unnecessary
        preset = with_data(preset, self.data, self.dataset, self.store())
        return preset.with_options(self.size, self.precision, self.compiled, self.iterations)


@dataclass(frozen=True)
class Machine:
    """What to work with."""

    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto"
    workers: Annotated[
        Optional[int],
        typer.Option(
            min=1,
            max=MOST_THREADS,
            help="Processes at a time. Default: one for each core, or one on a GPU.",
        ),
    ] = None
    threads: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, help="Threads of each process.")
    ] = 1
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard curves under --runs.")
    ] = False
    expect_gpu: ExpectGpu = None

    def settings(self) -> Settings:
        """With the device resolved, and as many processes as it can feed.

        Raises:
            UserError: where the device is not there, or not the card that is expected.
        """
        device = resolve_device(self.device)
        refuse_other_card(self.expect_gpu, describe_device(device, self.threads).name)
        cores = max(1, usable_cores() // self.threads)
        workers = self.workers or (cores if device == "cpu" else 1)
        return Settings(device, self.threads, workers, self.tensorboard)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters appear as one option for each of their fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {n: h for n, h in hints.items() if dataclasses.is_dataclass(h)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        field_hints = get_type_hints(groups[name], include_extras=True)
        for field in dataclasses.fields(groups[name]):
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=field_hints[field.name],
                )
            )
    parameters.sort(key=lambda p: p.kind)

    def spread_out(**given: Any) -> None:
        for name, group in groups.items():
            taken = {field.name: given.pop(field.name) for field in dataclasses.fields(group)}
            given[name] = group(**taken)
        command(**given)

    spread_out.__doc__ = command.__doc__
    spread_out.__annotations__ = {p.name: p.annotation for p in parameters}
    spread_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return spread_out
