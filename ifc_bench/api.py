"""Functions for notebooks and scripts, importable from `ifc_bench` itself.

They are a public interface: a test pins their names and parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ifc_bench.config import (
    Evaluation,
    ModelConfig,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
    spoken,
)
from ifc_bench.errors import UserError
from ifc_bench.records import EvaluationResult, Record
from ifc_bench.report.statistics import Summary, holm, paired, summarise, welch
from ifc_bench.store import Store

if TYPE_CHECKING:
    from ifc_bench.models.ifc import IFC

_METRICS = ("AP", "AP50", "AP75", "AR1", "AR10")


def load_results(folder: str | Path) -> pd.DataFrame:
    """Read every evaluation under a results directory, one row each.

    Columns: `variant`, `decoder`, `seed`, `T` and `S` (in frames; T is missing for offline),
    `matching`, training `iterations`, `data` (first digits of the hash of both splits), the metrics
    `AP`, `AP50`, `AP75`, `AR1`, `AR10` as fractions, and the ids `training` and `evaluation`.

    Raises:
        UserError: if there is no evaluation, or a record is damaged.
    """
    store = Store(Path(folder), Path("runs"))
    rows = [row for record in store.records("evaluation") for row in _evaluation(record)]
    if not rows:
        raise UserError(f"{folder}: has no evaluations; name a results directory")
    return pd.DataFrame(rows).sort_values(["variant", "decoder", "T", "seed"], ignore_index=True)


def _evaluation(record: Record) -> Iterator[dict[str, Any]]:
    work, result = record.work, record.result
    if isinstance(work, Evaluation) and isinstance(result, EvaluationResult):
        training = work.training
        yield {
            "variant": spoken(training.model.communication),
            "decoder": training.model.decoder,
            "seed": training.seed,
            "T": work.window,
            "S": work.stride,
            "matching": training.optimisation.loss.matching,
            "iterations": training.optimisation.iterations,
            "data": (record.split_hash or "")[:8],
            **{metric: result.metrics.get(metric) for metric in _METRICS},
            "training": training.id,
            "evaluation": record.id,
        }


def compare_rows(
    results: pd.DataFrame,
    baseline: str,
    metric: str = "AP",
    by: str = "variant",
    pairs: bool = False,
) -> pd.DataFrame:
    """Compare rows of `load_results` with a baseline: Welch's test over seeds, Holm over all rows.

    With `pairs` it is a t-test of pairs of one seed, for rows whose training runs of a seed start
    from one pretraining.

    Filter `results` first: all rows must have the same data set and number of iterations, and one
    result for each value of `by`, T and seed.

    Returns one row for each T and each value of `by` except `baseline`: `n`, `difference` in points
    with its 95% interval `low` and `high`, `p`, and `p_holm` corrected over all rows.

    Raises:
        UserError: if `baseline` is not a value of `by`, or the rows are not comparable.
    """
    for column in ("data", "iterations"):
        if results[column].nunique() > 1:
            values = ", ".join(map(str, results[column].unique()))
            raise UserError(f"{column}: rows of {values} are not comparable; keep one value")
    twice = results[results.duplicated([by, "T", "seed"], keep=False)]
    if not twice.empty:
        first = twice.iloc[0]
        same = twice[(twice[by] == first[by]) & (twice["T"] == first["T"])]
        differ = [c for c in ("S", "decoder", "matching") if same[c].nunique() > 1] or ["training"]
        raise UserError(
            f"{by}: {first[by]} at T = {first['T']} has several results of seed {first['seed']}, "
            f"which differ in {', '.join(differ)}; keep those of one"
        )
    known = list(results[by].unique())
    if baseline not in known:
        raise UserError(f"{by}: {baseline!r} is none of {', '.join(map(str, known))}")
    found = []
    for (window, name), group in results.groupby(["T", by], sort=True):
        base = results[(results[by] == baseline) & (results["T"] == window)]
        before, after = _points(base[metric]), _points(group[metric])
        if name == baseline or before is None or after is None:
            continue
        test = welch(before, after)
        if pairs:
            matched = paired(_by_seed(base, metric), _by_seed(group, metric))
            if matched is None:
                raise UserError(
                    f"pairs: {name} and {baseline} at T = {window} have no seed in common; leave "
                    "pairs out"
                )
            test = matched
        low, high = test.interval or (None, None)
        found.append(
            {by: name, "T": window, "n": test.n[1], "difference": test.mean, "low": low,
             "high": high, "p": test.p}
        )  # fmt: skip
    frame = pd.DataFrame(found, columns=[by, "T", "n", "difference", "low", "high", "p"])
    judged = frame["p"].notna()
    frame.loc[judged, "p_holm"] = holm(frame.loc[judged, "p"].tolist())
    return frame


def _by_seed(rows: pd.DataFrame, metric: str) -> dict[int, float]:
    known = rows[rows[metric].notna()]
    return dict(zip(known["seed"], 100 * known[metric], strict=True))


def _points(values: pd.Series) -> Summary | None:
    return summarise([100 * value for value in values.dropna()])


def evaluate(ground_truth: str | Path, predictions: str | Path) -> dict[str, float]:
    """Score a results.json: the twelve metrics of the YouTube-VIS API, as fractions.

    A metric without any ground truth is -1, as in the API.

    Raises:
        UserError: if a file is missing or damaged; one line with the entry and the value.
    """
    from ifc_bench.data.annotations import read_instances
    from ifc_bench.data.json_files import collector_paused
    from ifc_bench.evaluation import read_predictions, score_videos

    with collector_paused():
        truth = read_instances(Path(ground_truth))
        return score_videos(truth, read_predictions(Path(predictions), truth)).summary()


def load_model(
    source: str | Path,
    results: str | Path = "results",
    runs: str | Path = "runs",
    device: str = "cpu",
    own: Sequence[str] = (),
) -> IFC:
    """Load a trained model: by the id of a training run, or from a released checkpoint.

    `own` names the communication modules, "package.module:Class", that may be imported.

    Raises:
        UserError: if there is no such training run or file, or it is damaged.
    """
    from ifc_bench.inference import load_model as load

    store = Store(Path(results), Path(runs))
    if Path(source).is_file():
        return load(store, checkpoint=Path(source), device=device)
    return load(store, training=str(source), device=device, own=own)


def profile(
    model: ModelConfig,
    window: int | None = 5,
    frame_size: tuple[int, int] = (360, 640),
    device: str = "auto",
    results: str | Path = "results",
    runs: str | Path = "runs",
    **changes: Any,
) -> pd.Series:
    """Measure FPS, latency and memory of a model with random weights, in spawned processes.

    `frame_size` is height and width in pixels; `changes` are fields of `ifc_bench.config.Profile`,
    such as `stride`, `precision`, `compiled` or `protocol`. A profile that has a record is not
    measured again. Returns the row of `profile_frame`.

    Raises:
        UserError: if the device or an attention kernel is not available, or a process failed.
    """
    from ifc_bench.hardware.device import describe_device, resolve_device
    from ifc_bench.measuring.profiles import measure_profiles, require_kernels
    from ifc_bench.report.speeds import row_of

    place = resolve_device(device)
    described = describe_device(place, changes.pop("threads", 1))
    height, width = frame_size
    length = changes.pop("video_length", 36)
    fields = {
        "protocol": Protocol(),
        "footage": NoiseFrames(frames=length, height=height, width=width),
    }
    work = Profile(
        weights=RandomWeights(model=model),
        window=window,
        videos=1,
        device=described.name,
        threads=described.threads or 1,
        **{**fields, **changes},
    )
    store = Store(Path(results), Path(runs))
    if not store.done(work):
        require_kernels([work], place)
        list(measure_profiles([work], store, place, lambda *_: None))
    record = store.load(work)
    if record is None or record.status != "ok":
        reason = (record.error or record.status).strip().splitlines()[-1] if record else "no record"
        raise UserError(f"profile: {reason}")
    return pd.Series(row_of(record))
