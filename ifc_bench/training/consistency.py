"""Refuses a training run whose configuration, data and processes contradict each other."""

from __future__ import annotations

from ifc_bench.config import Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.errors import UserError
from ifc_bench.training.processes import Processes


def check(work: Training, data: VideoDataset, processes: Processes) -> None:
    """Refuse a configuration whose fields contradict each other or the data.

    Raises:
        UserError: one line that names the fields.
    """
    schedule = work.optimisation
    if work.model.classes != len(data.category_ids):
        raise UserError(
            f"{data.files.annotations}: categories: has {len(data.category_ids)}, "
            f"model.classes is {work.model.classes}; they must be equal"
        )
    if schedule.loss.matching == "boxes" and work.model.box_frames != schedule.clip_frames:
        raise UserError(
            f"model.box_frames: {work.model.box_frames}; matching on boxes needs one for each of "
            f"the {schedule.clip_frames} frames of a training clip"
        )
    if schedule.clips % processes.count:
        raise UserError(
            f"optimisation.clips: {schedule.clips} is not divisible by {processes.count} "
            "processes; choose a number of processes that divides it"
        )
