"""`evaluate`: the scores of a results.json of any system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from tabulate import tabulate

from ifc_bench.data.youtube_vis import read_instances
from ifc_bench.evaluation import read_predictions, score_videos


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("evaluate")
    def evaluate_command(
        ground_truth: Annotated[Path, typer.Option(help="Annotations in the YouTube-VIS format.")],
        predictions: Annotated[Path, typer.Option(help="A results.json of any system.")],
        style: Annotated[Literal["github", "json"], typer.Option("--format")] = "github",
    ) -> None:
        """Score predictions: the twelve numbers of the YouTube-VIS API, as fractions.

        A number that no ground truth defines is -1, as in the API.

        Example: python run_ablations.py evaluate --ground-truth GT.json --predictions PRED.json
        """
        truth = read_instances(ground_truth)
        scores = score_videos(truth, read_predictions(predictions, truth)).summary()
        if style == "json":
            print(json.dumps(scores))
        else:
            print(tabulate(scores.items(), ["metric", "value"], "github", floatfmt=".4f"))
