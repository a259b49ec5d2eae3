"""`evaluate`: score a results.json of any system."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from tabulate import tabulate

from ifc_bench.cli.directories import ResultsDirectory
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.json_files import collector_paused
from ifc_bench.errors import UserError
from ifc_bench.evaluation import coverage, read_predictions, score_videos
from ifc_bench.file_io import file_hash

if TYPE_CHECKING:
    from ifc_bench.records import EvaluationResult

_LONGEST_NAME = 100


def command(
    *,
    ground_truth: Annotated[Path, Parameter(help="Annotations in the YouTube-VIS format.")],
    predictions: Annotated[Path, Parameter(help="A results.json of any system.")],
    method: Annotated[
        str | None, Parameter(help="Keep a record under this name, for Tables 2(a) and 2(b).")
    ] = None,
    results: ResultsDirectory = Path("results"),
    style: Annotated[
        Literal["github", "json"], Parameter("--format", help="Format of the scores.")
    ] = "github",
) -> None:
    """Score predictions: the twelve metrics of the YouTube-VIS API, as fractions.

    A metric without any ground truth is -1, as in the API. Where the annotations have occlusion, as
    in OVIS, AP and AR by light, medium and heavy occlusion follow. The number of videos that the
    predictions cover is printed on standard error.

    Example: python run_ablations.py evaluate --ground-truth GT.json --predictions PRED.json
    --method "VisTR (R50)"
    """
    if method is not None and not (method.isprintable() and len(method) <= _LONGEST_NAME):
        raise UserError(
            f"--method: {method!r} is not a valid name: at most {_LONGEST_NAME} characters, all "
            "printable"
        )
    begun = time.monotonic()
    with collector_paused():
        truth = read_instances(ground_truth)
        found = read_predictions(predictions, truth)
        covered = coverage(truth, found)
        scores = score_videos(truth, found)
        if method is not None:
            from ifc_bench.evaluation import as_result

            result = as_result(scores, truth, len(found), time.monotonic() - begun)
            result = result.model_copy(update={"predicted_videos": covered.predicted})
            _keep(method, ground_truth, predictions, result, results)
    print(covered.told(), file=sys.stderr)
    shown = {**scores.summary(), **scores.by_occlusion()}
    if style == "json":
        print(json.dumps(shown))
    else:
        print(tabulate(shown.items(), ["metric", "value"], "github", floatfmt=".4f"))


def _keep(
    method: str, ground_truth: Path, predictions: Path, result: EvaluationResult, results: Path
) -> None:
    """Write the record of `method`; only this needs the store and a look at the machine."""
    from ifc_bench.config import External
    from ifc_bench.provenance import provenance
    from ifc_bench.records import Record
    from ifc_bench.store import Store

    work = External(
        method=method,
        data=ground_truth.stem,
        predictions=file_hash(predictions),
        ground_truth=file_hash(ground_truth),
    )
    Store(results, Path("runs")).save(
        Record.of(work, provenance("cpu", 1), result, split_hash=work.ground_truth)
    )
