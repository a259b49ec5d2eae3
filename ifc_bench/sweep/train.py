"""Trains: one piece of work of a worker."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ifc_bench.config import Testing, Training
from ifc_bench.data.splits import Splits
from ifc_bench.errors import Stopped, UserError, refuse_full_disk
from ifc_bench.evaluation import score_videos
from ifc_bench.inference import predict
from ifc_bench.measuring.settings import settings
from ifc_bench.models.ifc import IFC
from ifc_bench.records import Record, Status, TrainingResult
from ifc_bench.training.checkpoint import forget
from ifc_bench.training.first_weights import start_model
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.setup import loaders
from ifc_bench.training.tensorboard import curves_to
from ifc_bench.training.trainer import Trainer

if TYPE_CHECKING:
    from ifc_bench.sweep.worker import Worker


def train(worker: Worker, work: Training, data: Splits) -> Record:
    """Train, or take what is there; only the first process writes the record."""
    path = worker.store.checkpoint_path(work)
    known = worker.store.load(work)
    done = known is not None and worker.store.done(work) and worker.store.has_weights(work)
    known, done = worker.processes.agreed((known, done))
    if known is not None and done:
        return known
    if known is not None and known.status == "diverged" and worker.processes.first:
        forget(path)  # a retry: its checkpoint has diverged
    logged = worker.tensorboard and worker.processes.first
    hooks = Hooks(
        start=lambda model: start_model(model, work, worker.store),
        score=lambda model: _curve_point(worker, model, work, data),
        progress=lambda done, loss: worker.progress(
            "train", done, work.optimisation.iterations, loss
        ),
        log=curves_to(worker.store.tensorboard_path(work), work) if logged else None,
        loaders=0 if data.embedded else loaders(worker.loaders),
        stopping=lambda: worker.stopping,
        saved=worker.saved,
        clips_at_once=worker.clips_at_once,
    )
    worker.in_training = True
    gpu = torch.device(worker.device) if worker.device != "cpu" else None
    if gpu is not None:
        torch.cuda.reset_peak_memory_stats(gpu)
    try:
        trainer = Trainer(work, data.train, path, worker.device, hooks, worker.processes)
        curves = trainer.run()
    except UserError:
        raise
    except Exception as error:
        refuse_full_disk(error)
        record = worker.failure(work, data.digest, error)
        if worker.processes.count > 1:
            raise  # the others would wait for this process
        return record
    finally:
        worker.in_training = False
    result = TrainingResult(
        loss=[_exact(v) for v in curves.loss],
        loss_parts={k: [_exact(v) for v in vs] for k, vs in curves.parts.items()},
        accuracy_curve=curves.accuracy,
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        wall_seconds=curves.seconds,
        diverged_at=curves.diverged_at,
        new_parameters=curves.new_parameters,
        curve_step=curves.every,
        settings=settings(torch.device(worker.device)),
        processes=worker.processes.count,
        waiting_seconds=curves.waiting,
        clips_at_once=worker.clips_at_once,
        peak_allocated_bytes=torch.cuda.max_memory_allocated(gpu) if gpu is not None else None,
    )
    status: Status = "ok" if curves.diverged_at is None else "diverged"
    if known is not None and worker.store.done(work):
        return known  # trained again only for its weights: the record is kept
    return worker.save(work, data.digest, status, result)


def _curve_point(worker: Worker, model: IFC, work: Training, data: Splits) -> float:
    def go_on(done: int, total: int) -> None:
        if worker.stopping:
            raise Stopped("stopped in a point of the AP curve")

    found = predict(model, data.valid, Testing.of_curve(work.optimisation), go_on)
    return score_videos(data.valid.instances, found.tracks).summary()["AP"]


def _exact(value: float) -> float | None:
    """Round a float32 to nine digits, which identify it; None if it is not finite."""
    return float(f"{value:.9g}") if math.isfinite(value) else None
