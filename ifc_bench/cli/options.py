"""Options that several commands share; each group is a dataclass, a parameter of the command."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from ifc_bench.cli.directories import RunsDirectory
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sources import with_data, with_start
from ifc_bench.config import Arithmetic, Precision
from ifc_bench.data.catalogue import LAYOUTS
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.records import Device, Status
from ifc_bench.store import Store

MOST_FRAMES = 1024  # of a window, and of a noise video
MOST_SIDE = 8192  # pixels
MOST_TOKENS = 4096
MOST_THREADS = 1024  # and processes
_MOST_SEEDS = 1000
_MOST_ITERATIONS = 10_000_000
_MOST_DIGITS = 20  # a longer number is larger than any bound


def number(
    text: str, least: float = 0, most: float = math.inf, name: str | None = None
) -> Parameter:
    """Declare an option with one or more numbers from `least` to `most`, with help `text`."""
    bound = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"

    def converted(kind: Any, tokens: Sequence[Token]) -> Any:
        found = []
        for token in tokens:
            value = _number(token.value, "float" in str(kind))
            if not least <= value <= most:  # True for nan
                raise ValueError(f'"{token.value[:60]}" must be {bound}.')
            found.append(value)
        return found if "list" in str(kind) else found[0]

    return Parameter(name=name, converter=converted, help=text)


def share(text: str) -> Parameter:
    """Declare an option with a share above 0 and below 1, such as "1%" or "0.01"."""

    def converted(kind: Any, tokens: Sequence[Token]) -> float:
        given = tokens[0].value
        value = _number(given.removesuffix("%"), True) / (100 if given.endswith("%") else 1)
        if not 0 < value < 1:
            raise ValueError(f'"{given[:60]}" must be above 0% and below 100%.')
        return value

    return Parameter(converter=converted, help=text)


def _number(text: str, fraction: bool) -> float:
    """Parse a number; "1.5" and digits other than 0 to 9 are not whole numbers.

    Raises:
        ValueError: if `text` is not a number.
    """
    plain = text.removeprefix("-").removeprefix("+")
    if fraction and text.isascii() and "_" not in text:
        with contextlib.suppress(ValueError):
            return float(text)
    if not fraction and plain.isascii() and plain.isdigit():
        return int(text) if len(text) <= _MOST_DIGITS else math.inf
    kind = "number" if fraction else "whole number"
    raise ValueError(f'"{text[:60]}" is not a {kind}.')


Tables = Annotated[str, Parameter(help="Names of tables. Default: those of the preset.")]
Injected = Annotated[Recipes, Parameter(parse=False)]
Style = Annotated[
    Literal["github", "latex", "csv", "json"], Parameter("--format", help="Format of the tables.")
]
DeviceName = Annotated[str, Parameter("--device", help="auto, cpu or cuda:N.")]
Threads = Annotated[int, number("Threads of a CPU.", 1, MOST_THREADS)]
ShortEdge = Annotated[
    int | None, number("Short edge of the frames in pixels (paper: 360).", 32, MOST_SIDE)
]
ExpectGpu = Annotated[
    str | None, Parameter(help='Refuse any GPU but this one, such as "RTX 2080 Ti".')
]
Compare = Annotated[
    Literal["paper"] | None, Parameter(help="Print the paper's numbers beside ours.")
]
Retry = Literal["failed", "oom", "diverged", "timeout", "all"]
RetryOption = Annotated[
    Retry | None,
    Parameter(
        "--retry",
        help="Repeat work that ran out of memory (oom), diverged, or took too long (timeout), or "
        "all of it. Failed work is always repeated.",
    ),
]
_RETRIED: dict[Retry, tuple[Status, ...]] = {
    "failed": (),
    "oom": ("out_of_memory",),
    "diverged": ("diverged",),
    "timeout": ("timed_out",),
    "all": ("out_of_memory", "diverged", "timed_out"),
}
_PRECISIONS: dict[Arithmetic, Precision] = {
    "fp32": "float32", "bf16": "bfloat16", "fp16": "float16",
}  # fmt: skip


def refuse_other_gpu(expected: str | None, name: str) -> None:
    """Refuse a device that is not the `expected` GPU, if any.

    Raises:
        UserError: if it is another device.
    """
    if expected is not None and not same_gpu(expected, name):
        raise UserError(
            f"--expect-gpu: {expected!r} is expected, but the device is {name!r}; measure on that "
            "GPU, or leave the option out"
        )


def results_for(results: Path, device: Device) -> Path:
    """Replace `{device}` in `results` by the device's name, in a form safe for a directory."""
    name = "".join(c if c.isalnum() else "-" for c in device.name.lower())
    return Path(str(results).replace("{device}", "-".join(filter(None, name.split("-")))))


@Parameter(name="*")
@dataclass(frozen=True)
class Choice:
    """Options of the work: preset, data, initial weights, and directories for the results."""

    preset: Annotated[
        str, Parameter(help="smoke, quick or full; paper and released need --data.")
    ] = "quick"
    seeds: Annotated[
        int | None, number("Seeds 0..N-1 instead of the preset's number.", 1, _MOST_SEEDS)
    ] = None
    window: Annotated[
        list[int] | None,
        number("T: frames of a window in testing, instead of the preset's.", 1, MOST_FRAMES),
    ] = None
    data: Annotated[
        Path | None,
        Parameter(help="Directory of your data; presets paper and released need it."),
    ] = None
    dataset: Annotated[
        str | None,
        Parameter(
            help=f"Layout of --data: {', '.join(LAYOUTS)}. Default: the preset's, or folder."
        ),
    ] = None
    start: Annotated[
        Path | None,
        Parameter(help="Initial weights: an ImageNet ResNet file or a released IFC checkpoint."),
    ] = None
    short_edge: Annotated[
        int | None,
        number("Short edge of the frames in pixels, in training and in testing.", 32, MOST_SIDE),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Parameter(help="Arithmetic of training; bf16 and fp16 are mixed precision."),
    ] = None
    iterations: Annotated[
        int | None,
        number("Iterations on videos; learning-rate drops are scaled.", 1, _MOST_ITERATIONS),
    ] = None
    compiled: Annotated[bool, Parameter("--compile", help="Train with torch.compile.")] = False
    test_precision: Annotated[
        Arithmetic | None,
        Parameter(help="Arithmetic of the network in testing and for FPS. Default: fp32."),
    ] = None
    test_compiled: Annotated[
        bool,
        Parameter("--test-compile", help="Test, and measure FPS, with torch.compile."),
    ] = False
    own: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=False,
            help="Add a row for your communication module, package.module:Class; repeatable.",
        ),
    ] = None
    results: Annotated[Path, Parameter(help="Directory of records and tables.")] = Path("results")
    runs: RunsDirectory = Path("runs")

    def store(self, retry: Retry | None = None, memory: int | None = None) -> Store:
        """Open the records; those of failed work, or of work that `retry` names, are replaced."""
        store = Store(self.results, self.runs, memory=memory)
        return store.retrying(*(_RETRIED[retry] if retry else ()))

    def tables(self, recipes: Recipes, names: tuple[str, ...], preset: Preset) -> list[AnyTable]:
        """Return the tables in `names` for `preset`, with a row for each module of `--own`.

        Raises:
            UserError: if an option has an unknown name.
        """
        return recipes.chosen(names, preset, self.own or ())

    def resolved(self, recipes: Recipes) -> Preset:
        """Return the preset, changed by the options.

        Raises:
            UserError: if an option has an unknown name.
        """
        if self.dataset is not None and self.dataset not in LAYOUTS:
            raise UserError(f"--dataset: {self.dataset!r} is none of {', '.join(LAYOUTS)}")
        preset = recipes.preset(self.preset, self.seeds, self.window)
        preset = with_start(preset, self.start, self.store())  # before data: images may be unneeded
        preset = with_data(preset, self.data, self.dataset, self.store())
        precision = _PRECISIONS[self.precision] if self.precision else None
        testing: dict[str, object] = {"compiled": True} if self.test_compiled else {}
        if self.test_precision is not None:
            testing["precision"] = self.test_precision
        return preset.with_options(
            self.short_edge, precision, self.compiled, self.iterations, testing
        )
