"""Refusals of `profile`: options that contradict each other, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ifc_bench.config import FolderData, ModelConfig, Profile, Protocol
from ifc_bench.errors import UserError


def refuse_rungs(given: Mapping[str, bool]) -> None:
    """Refuse all `given` options, which the rungs of a ladder decide."""
    for option in (name for name, is_given in given.items() if is_given):
        raise UserError(f"--ladder: decides {option} for each rung; leave {option} out")


def refuse_own(given: Mapping[str, bool], alone: bool, climb: bool) -> None:
    """Refuse a ladder with --model; where that stands `alone`, what only the built-in ones have."""
    if climb:
        raise UserError("--ladder: its rungs are of the built-in networks; leave --model out")
    theirs = ("--attention", "--form", "--forecast")
    for option in (name for name in theirs if given.get(name) and alone):
        raise UserError(
            f"{option}: is of the built-in networks; leave it out, or add --communication"
        )


def refuse_short(works: Sequence[Profile], real: FolderData | None, length: int) -> None:
    """Refuse a window longer than the synthetic video: the measured window would be shorter."""
    longest = max((work.window or 0 for work in works), default=0)
    if real is None and longest > length:
        raise UserError(
            f"--window: T = {longest} is longer than the video of --video-length {length} frames; "
            f"use --video-length {longest}"
        )


def refuse_contradictions(works: Sequence[Profile], instances: int, protocol: Protocol) -> None:
    """Refuse more instances than queries, and a minimum time above the maximum."""
    built_in = [work.model for work in works if isinstance(work.model, ModelConfig)]
    most = min((model.queries for model in built_in), default=instances + 1) - 1
    if instances > most:
        raise UserError(
            f"--instances: {instances} is more than random weights can find, {most} with "
            f"{most + 1} queries; use at most {most}"
        )
    least, longest = protocol.min_seconds, protocol.max_seconds
    if least > longest and least != Protocol().min_seconds:
        raise UserError(
            f"--min-seconds: {least:g} is more than the {longest:g} of --max-seconds; use less"
        )
