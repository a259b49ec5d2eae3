"""Options of the work: the recipe and its changes, the data, and directories for the results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ifc_bench.cli.directories import RunsDirectory
from ifc_bench.cli.options import MOST_FRAMES, MOST_SIDE, Retry, number
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sources import with_data, with_start
from ifc_bench.config import Arithmetic, Precision, ResNetBackbone
from ifc_bench.data.layouts import LAYOUTS
from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable, Preset, overridden
from ifc_bench.records import Status
from ifc_bench.store import Store

_MOST_SEEDS = 1000
_MOST_ITERATIONS = 10_000_000
_MOST_CLIPS = 10_000
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


@Parameter(name="*")
@dataclass(frozen=True)
class RecipeOptions:
    """Changes to a preset's recipe; they are part of the ids of the work."""

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
    image_iterations: Annotated[
        int | None,
        number("Iterations on images; learning-rate drops are scaled.", 1, _MOST_ITERATIONS),
    ] = None
    epochs: Annotated[
        tuple[int, int] | None,
        number("Epochs on videos, and those before the learning rate drops (paper: 8 5).", 1, 1e6),
    ] = None
    clips: Annotated[
        int | None, number("Clips of a batch on videos (paper: 16).", 1, _MOST_CLIPS)
    ] = None
    backbone: Annotated[
        Literal["resnet50", "resnet101"] | None, Parameter(help="Depth of the backbone.")
    ] = None
    changes: Annotated[
        list[str] | None,
        Parameter(
            "--set",
            consume_multiple=False,
            help="Any field of the recipe, such as optimisation.learning_rate=5e-5, "
            "optimisation.loss.dice=4, model.queries=50, image.optimisation.clips=8; repeatable.",
        ),
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

    def before_data(self, preset: Preset) -> Preset:
        """Change what decides how many iterations an epoch of the data has.

        Raises:
            UserError: if a field or its value is not valid.
        """
        video, model = preset.video, preset.model
        if self.epochs is not None:
            video = video.model_copy(update={"epochs": self.epochs})
        if self.clips is not None:
            video = video.with_changes({"clips": self.clips}, {})
        if self.backbone is not None:
            depth = int(self.backbone.removeprefix("resnet"))
            known = model.backbone if isinstance(model.backbone, ResNetBackbone) else None
            fresh = (known or ResNetBackbone()).model_copy(update={"depth": depth})
            model = model.model_copy(update={"backbone": fresh})
        changed = preset.model_copy(update={"video": video, "model": model})
        return overridden(changed, self.changes or ())

    def after_data(self, preset: Preset) -> Preset:
        """Change everything else; a field of `--set` counts more than the data's iterations."""
        testing: dict[str, object] = {"compiled": True} if self.test_compiled else {}
        if self.test_precision is not None:
            testing["precision"] = self.test_precision
        precision = _PRECISIONS[self.precision] if self.precision else None
        changed = preset.with_options(self.short_edge, precision, self.compiled, testing)
        changed = changed.of_length(self.iterations, self.image_iterations)
        changed = overridden(changed, self.changes or ())
        return changed.model_copy(update={"changes": tuple(self._named())})

    def _named(self) -> Iterator[str]:
        """The changes that a table's head names; other options show in its own words."""
        if self.clips is not None:
            yield f"{self.clips} clips of a batch"
        if self.backbone is not None:
            yield self.backbone
        yield from self.changes or ()


@Parameter(name="*")
@dataclass(frozen=True)
class Choice(RecipeOptions):
    """Options of the work: preset, data, initial weights, and directories for the results."""

    preset: Annotated[
        str,
        Parameter(help="smoke, quick or full; paper, paper-short and released need --data."),
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
        Parameter(help="Directory of your data; paper, paper-short and released need it."),
    ] = None
    dataset: Annotated[
        str | None,
        Parameter(
            help=f"Layout of --data: {', '.join(LAYOUTS)}. Default: the preset's, or folder."
        ),
    ] = None
    weights: Annotated[
        Path | None,
        Parameter(help="Initial weights: an ImageNet ResNet file or a released IFC checkpoint."),
    ] = None
    start: Annotated[Path | None, Parameter(show=False)] = None  # the old name of --weights
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

    def _refuse_epochs(self) -> None:
        if self.epochs is None:
            return
        if self.data is None:
            raise UserError("--epochs: an epoch is of your own videos; name them with --data")
        if self.iterations is not None:
            raise UserError("--epochs, --iterations: give one of the two")
        if self.epochs[1] > self.epochs[0]:
            raise UserError(
                f"--epochs: the learning rate would drop after {self.epochs[1]} epochs of "
                f"{self.epochs[0]}; the second number is at most the first"
            )

    def resolved(self, recipes: Recipes) -> Preset:
        """Return the preset, changed by the options.

        Raises:
            UserError: if an option has an unknown name.
        """
        if self.dataset is not None and self.dataset not in LAYOUTS:
            raise UserError(f"--dataset: {self.dataset!r} is none of {', '.join(LAYOUTS)}")
        preset = recipes.preset(self.preset, self.seeds, self.window)
        weights = self.weights or self.start
        self._refuse_epochs()
        preset = self.before_data(preset)
        preset = with_start(preset, weights, self.store())  # before data: images may be unneeded
        preset = with_data(preset, self.data, self.dataset, self.store())
        return self.after_data(preset)
