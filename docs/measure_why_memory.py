"""Measures what docs/why_memory.md tells of the trained networks, into a JSON file.

python docs/measure_why_memory.py --results results/why_memory --runs runs --out diagnosis.json

It needs the checkpoints of the table `why_memory`, which `run` leaves under --runs; what a training
that was stopped has learned so far is measured as well. `--along` names a folder of copies that
were made of them during training, under any names. What --out has of other trainings stays.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablations import PRESETS, TABLES
from ablations.why_memory import ARMS
from ifc_bench.config import DecompTHW, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.splits import Splits
from ifc_bench.data.transforms import Batch, collate
from ifc_bench.evaluation.probe import RidgeProbe, area_under_curve, explained
from ifc_bench.models.attention_share import memory_shares
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import losses
from ifc_bench.models.ifc import IFC
from ifc_bench.models.knock_out import isolated, memory_swapped
from ifc_bench.models.tensor_file import read_tensors
from ifc_bench.recipe import Row
from ifc_bench.store import Store
from ifc_bench.training.checkpoint import read_checkpoint

FULL = PRESETS["full"]
ENDS = (340, 1000)  # the iterations that networks are measured at
NEAR = 20  # a checkpoint this many iterations away stands for one of them
STEP = 50  # iterations between two points of the figure, at least
STARTS = (0, 6, 12, 18)  # first frames of the clips of 5 that probes are tested on
FEWER = (3, 15)  # and of those that the loss is taken of
GREY = 5.0  # the std of a lost frame's pixels is below it: nothing is there but noise
TOGETHER = 10  # videos of a batch; swapped memory comes from the one before


def main() -> None:
    """Measure every training's checkpoints near `ENDS` that are not in --out yet."""
    parser = argparse.ArgumentParser()
    for name in ("--results", "--runs", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--along", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store = Store(asked.results, asked.runs)
    splits = Splits(store, FULL.video.data)
    found: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    networks: list[dict[str, Any]] = found.setdefault("networks", [])
    known = {(one["arm"], one["seed"], one["at"]) for one in networks}
    folders = [store.checkpoint_path(next(iter(works().values()))).parent]
    folders += [asked.along] if asked.along else []
    copies = checkpoints(folders)
    for (arm, seed), work in works().items():
        for end in ENDS:
            near = [one for one in copies.get(work.id, []) if abs(one[0] - end) <= NEAR]
            if near and (arm, seed, end) not in known:
                state = read_checkpoint(min(near, key=lambda one: abs(one[0] - end))[1], work)
                networks.append(
                    {"arm": arm, "seed": seed, "at": end, **measured(work, state, splits)}
                )
                asked.out.write_text(json.dumps(found) + "\n")
                print(arm, seed, state["iteration"], flush=True)
    finished = {work.id for work in works().values() if store.load(work) is not None}
    losses_so_far = {one["training"]: one for one in found.get("unfinished", [])}
    losses_so_far |= {one["training"]: one for one in unfinished(copies)}
    found["unfinished"] = [
        one for training, one in losses_so_far.items() if training not in finished
    ]
    new = along(copies, splits.valid)
    again = {one["arm"] for one in new}
    found["along"] = [one for one in found.get("along", []) if one["arm"] not in again] + new
    asked.out.write_text(json.dumps(found) + "\n")


def checkpoints(folders: list[Path]) -> dict[str, list[tuple[int, Path]]]:
    """Iteration and path of every checkpoint in some folders, by its training's id."""
    copies: dict[str, list[tuple[int, Path]]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.pt")):
            state = read_tensors(path)
            copies.setdefault(state["work"], []).append((state["iteration"], path))
    return copies


def works() -> dict[tuple[str, int], Training]:
    """The trainings of the table by arm and seed, and Decomp T-HW with the same start at zero."""
    trainings = {
        arm: row.training for arm, row in zip(ARMS, TABLES["why_memory"](FULL).rows, strict=False)
    }
    zero = {"communication": DecompTHW(), "added_layers_start": "zero"}
    trainings["Decomp, zero start"] = Row.of(FULL, "Decomp", model=zero).training
    return {
        (arm, seed): training.model_copy(update={"seed": seed})
        for seed in range(FULL.seeds)
        for arm, training in trainings.items()
    }


def measured(work: Training, state: dict[str, Any], splits: Splits) -> dict[str, Any]:
    """Everything about the network of a checkpoint, at the end of its training or before."""
    model = network_of(work, state)
    result: dict[str, Any] = {
        "training": work.id,
        "iteration": state["iteration"],
        "loss_by_video": {},
    }
    for name, how in (("whole", None), ("isolated", isolated), ("swapped", memory_swapped)):
        with how(model) if how else nullcontext():
            result["loss_by_video"][name] = loss_by_video(model, work, splits.valid)
    if work.seed == 0:  # a probe has its spread over 60 videos, and takes the longest
        result["probes"] = probes(model, splits)
    if model.memory.shape[0]:
        result["shares"] = vars(memory_shares(model, middle_clips(splits.valid)))
    if work.model == FULL.model and work.seed == 0:
        torch.manual_seed(work.seed)
        result["probes, untrained"] = probes(build_model(work.model).eval(), splits)
    return result


def network_of(work: Training, state: dict[str, Any]) -> IFC:
    """The network of a checkpoint, ready to be tested."""
    model = build_model(work.model)
    model.load_state_dict(state["model"])
    return model.to(memory_format=torch.channels_last).eval()


def batches(data: VideoDataset, starts: tuple[int, ...]) -> Iterator[tuple[list[int], Batch]]:
    """Clips of 5 frames: their videos' ids, and the batch, of several videos at one first frame."""
    for first in starts:
        for begin in range(0, len(data.videos), TOGETHER):
            videos = data.videos[begin : begin + TOGETHER]
            samples = [data.sample(video, list(range(first, first + 5))) for video in videos]
            yield [video.id for video in videos], collate(samples, 4, boxes=False)


@torch.no_grad()
def loss_by_video(model: IFC, work: Training, data: VideoDataset) -> dict[int, float]:
    """The training loss of the last decoder layer on validation clips, a mean over each video's."""
    found: dict[int, list[float]] = {}
    for ids, batch in batches(data, FEWER):
        prediction = model(batch.clips)
        for place, video in enumerate(ids):
            one = type(prediction)(
                prediction.class_logits[place : place + 1],
                prediction.mask_logits[place : place + 1],
            )
            parts = losses(one, [batch.targets[place]], work.optimisation.loss)
            found.setdefault(video, []).append(sum(part.item() for part in parts.values()))
    return {video: round(float(np.mean(values)), 5) for video, values in found.items()}


def middle_clips(data: VideoDataset) -> torch.Tensor:
    """One clip [5, 3, H, W] of each video, from its middle, as a batch."""
    return torch.stack([data.frames(video, list(range(10, 15))) for video in data.videos])


def probes(model: IFC, splits: Splits) -> dict[str, dict[str, float]]:
    """What a linear probe reads of a frame's classes and place, from each kind of its tokens."""
    fit, test = read(model, splits.train, FEWER[:1]), read(model, splits.valid, STARTS)
    classes = range(fit["present"].shape[1])
    fitted, shown = fit["present"].any(1), test["present"].any(1)
    seen: dict[str, dict[str, float]] = {}
    for kind, features in fit["features"].items():
        by_class = RidgeProbe(features, fit["present"], fit["video"])(test["features"][kind])
        of_place = RidgeProbe(features[fitted], fit["centre"][fitted], fit["video"][fitted])
        place = of_place(test["features"][kind])
        seen[kind] = {"dimensions": features.shape[1]}
        for where, rows in (("", shown), (", lost frames", shown & test["lost"])):
            areas = [
                area_under_curve(by_class[rows, k], test["present"][rows, k] > 0) for k in classes
            ]
            seen[kind][f"class{where}"] = float(np.mean(areas))
            seen[kind][f"place{where}"] = explained(place[rows], test["centre"][rows])
            seen[kind][f"frames{where}"] = int(rows.sum())
    return seen


@torch.no_grad()
def read(model: IFC, data: VideoDataset, starts: tuple[int, ...]) -> dict[str, Any]:
    """Features and targets of every frame of clips of `data`."""
    kept: dict[str, list[Any]] = {"frames": [], "memory": [], "present": [], "centre": []}
    kept |= {"video": [], "lost": []}
    for ids, batch in batches(data, starts):
        frames, memory = encoded(model, batch.clips)
        kept["frames"].append(frames.mean(2).flatten(0, 1).numpy())
        kept["memory"].append(memory.flatten(2).flatten(0, 1).numpy())
        for place, target in enumerate(batch.targets):
            present, centre = truth(target.classes, target.masks, FULL.video.classes)
            kept["present"].append(present)
            kept["centre"].append(centre)
            kept["video"] += [ids[place]] * len(present)
        kept["lost"].append((batch.clips.float().std((2, 3, 4)) < GREY).flatten().numpy())
    joined = {name: np.concatenate(v) for name, v in kept.items() if name != "video"}
    features = {"frames, mean": joined["frames"].astype(float)}
    if joined["memory"].shape[1]:
        features["memory"] = joined["memory"].astype(float)
        each = joined["memory"].reshape(len(joined["memory"]), -1, model.memory.shape[1])
        features["memory, mean"] = each.mean(1).astype(float)
    return {**joined, "features": features, "video": np.array(kept["video"])}


def encoded(model: IFC, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame tokens [B, T, N, C] and memory tokens [B, T, M, C] as the encoder leaves them.

    Memory tokens too that the decoder does not read.
    """
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    handle = model.communication.register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    try:
        model(clips)
    finally:
        handle.remove()
    return seen[0]


def truth(classes: torch.Tensor, masks: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame: which classes are in it [T, K], and the centre of all pixels of instances."""
    frames = masks.shape[1]
    present = np.zeros((frames, count))
    for row, label in enumerate(classes.tolist()):
        present[:, label] = np.maximum(
            present[:, label], (masks[row].flatten(1).amax(1) > 0.5).numpy()
        )
    covered = masks.amax(0) if len(masks) else masks.new_zeros(frames, *masks.shape[2:])
    height, width = covered.shape[-2:]
    total = covered.sum((1, 2)).clamp(min=1e-6)
    y = (covered.sum(2) @ ((torch.arange(height) + 0.5) / height)) / total
    x = (covered.sum(1) @ ((torch.arange(width) + 0.5) / width)) / total
    return present, torch.stack((x, y), 1).numpy()


def unfinished(copies: dict[str, list[tuple[int, Path]]]) -> list[dict[str, Any]]:
    """The loss of every iteration so far, of trainings that have no record yet."""
    found = []
    for (arm, seed), work in works().items():
        iteration, path = max(copies.get(work.id, []), default=(work.optimisation.iterations, None))
        if path is not None and iteration < work.optimisation.iterations:
            loss = read_checkpoint(path, work)["curves"]["loss"]
            loss = [round(value, 4) for value in loss]
            found.append({"arm": arm, "seed": seed, "training": work.id, "loss": loss})
    return found


def along(copies: dict[str, list[tuple[int, Path]]], data: VideoDataset) -> list[dict[str, Any]]:
    """The attention to memory by iteration in trainings of seed 0, from copies STEP apart."""
    clips = middle_clips(data)[::3]
    found = []
    for (arm, seed), work in works().items():
        last = -STEP
        for iteration, path in sorted(copies.get(work.id, [])):
            if seed or not work.model.communication.memory_tokens or iteration < last + STEP:
                continue
            model = network_of(work, read_checkpoint(path, work))
            shares = vars(memory_shares(model, clips))
            found.append({"arm": arm, "seed": seed, "iteration": iteration, **shares})
            last = iteration
    return found


if __name__ == "__main__":
    main()
