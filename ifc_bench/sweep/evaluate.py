"""Evaluates: one piece of work of a worker, for all tests of one training that share a pass."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ifc_bench.config import Evaluation
from ifc_bench.data.splits import Splits
from ifc_bench.errors import UserError, refuse_full_disk, together
from ifc_bench.evaluation import as_result, score_images, score_videos
from ifc_bench.file_io import write_text
from ifc_bench.inference import Partial, Predictions, predict_in_one_pass, results_json
from ifc_bench.measuring.settings import settings
from ifc_bench.models.ifc import IFC
from ifc_bench.provenance import provenance
from ifc_bench.records import Record
from ifc_bench.training.checkpoint import DamagedCheckpointError, kept_model, trained_model
from ifc_bench.training.kept_weights import found_weights

if TYPE_CHECKING:
    from ifc_bench.sweep.worker import Worker


def evaluate(worker: Worker, works: list[Evaluation], data: Splits) -> list[Record]:
    """Evaluate in one pass over the videos; where that fails, each work by itself."""
    windows = ", ".join(str(work.window or "video") for work in works)

    def progress(done: int, total: int) -> None:
        worker.progress(f"evaluate T={windows}", done, total)

    # If the process is killed, this one is recorded as failed, and the others are done again.
    worker.begin(max(works, key=lambda work: work.window or math.inf))
    try:
        model = _model(worker, works[0])
        with ExitStack() as stack:  # partial results without a video are deleted
            kept = [stack.enter_context(_partial(worker, work)) for work in works]
            found = predict_in_one_pass(model, data.valid, works, progress, kept)
    except DamagedCheckpointError as error:
        path = _weights(worker, works[0])
        path.replace(path.with_suffix(".damaged"))
        raise UserError(f"{error}; it is {path.stem}.damaged now, so the next run does") from None
    except UserError:
        if len(works) > 1:
            return _one_by_one(worker, works, data)
        raise
    except Exception as error:
        refuse_full_disk(error)
        if len(works) > 1:  # what fails, such as the longest window, takes no other along
            return [record for work in works for record in evaluate(worker, [work], data)]
        return [worker.failure(works[0], data.digest, error)]
    records = [_scored(worker, work, some, data) for work, some in zip(works, found, strict=True)]
    for partial in kept:
        partial.done()
    return records


def _one_by_one(worker: Worker, works: list[Evaluation], data: Splits) -> list[Record]:
    """Evaluate each work by itself; what is refused takes no other along.

    Raises:
        UserError: of those that are refused, after all others.
    """
    records, refused = list[Record](), list[UserError]()
    for work in works:
        try:
            records += evaluate(worker, [work], data)
        except UserError as error:
            refused.append(error)
    if refused:
        raise together(refused)
    return records


def _scored(worker: Worker, work: Evaluation, found: Predictions, data: Splits) -> Record:
    try:
        write_text(worker.store.predictions_path(work), results_json(found))
        score = score_images if work.protocol == "image" else score_videos
        scores = score(data.valid.instances, found.tracks)
        result = as_result(scores, data.valid.instances, found.count, found.seconds)
        used = settings(torch.device(worker.device))
        result = result.model_copy(update={"settings": used})
    except UserError:
        raise
    except Exception as error:
        refuse_full_disk(error)
        return worker.failure(work, data.digest, error)
    return worker.save(work, data.digest, "ok", result)


def _weights(worker: Worker, work: Evaluation) -> Path:
    if work.weights == "kept":
        return found_weights(worker.store, work.training)
    return worker.store.checkpoint_path(work.training)


def _model(worker: Worker, work: Evaluation) -> IFC:
    load = kept_model if work.weights == "kept" else trained_model
    return load(_weights(worker, work), work.training, worker.device)


def _partial(worker: Worker, work: Evaluation) -> Partial:
    """The videos that an interrupted evaluation of the same weights, code and device did."""
    here = provenance(worker.device, worker.threads)
    same = (
        _weights(worker, work).stat().st_mtime_ns,
        *(here.git_revision, here.git_dirty, here.device.name),
    )
    request = " ".join(map(str, (work.id, *same)))
    return Partial(worker.store.predictions_path(work), request)
