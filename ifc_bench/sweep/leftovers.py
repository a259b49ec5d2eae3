"""Files under the runs directory that no record needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.config import Evaluation, Training
from ifc_bench.errors import UserError
from ifc_bench.store import Store
from ifc_bench.sweep.claims import claims_in


@dataclass(frozen=True)
class Leftover:
    """A file or directory that can be deleted, and why."""

    path: Path
    reason: str

    @property
    def size(self) -> int:
        """Bytes, of all files in a directory."""
        files = [self.path] if self.path.is_file() else self.path.rglob("*")
        return sum(file.lstat().st_size for file in files if file.is_file())

    def delete(self) -> None:
        """Delete it; nothing happens if it has gone."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def leftovers(store: Store, checkpoints: bool = False) -> list[Leftover]:
    """Find what no record of `store` needs; with `checkpoints` also final weights.

    A checkpoint without a record stays, because its training goes on from it.

    Raises:
        UserError: if a runner is at work on these directories, or there is no record to go by.
    """
    if not any(True for _ in store.records()):
        raise UserError(
            f"--results: {store.results}: has no records, so nothing says what is needed; name the "
            "directory of the sweep"
        )
    claims = claims_in(store.claims())
    for claim in claims:
        if claim.owner.gone is not True:
            raise UserError(
                f"{store.claims()}: {claim.key}: a runner on {claim.owner.host} (process "
                f"{claim.owner.process}) is at work; wait for its end"
            )
    return sorted(_found(store, checkpoints), key=lambda one: one.path)


def _found(store: Store, checkpoints: bool) -> Iterator[Leftover]:
    ok = [record for record in store.records() if record.status == "ok"]
    done = {record.id for record in ok}
    trained = {record.id for record in ok if isinstance(record.work, Training)}
    claimed = {claim.key for claim in claims_in(store.claims())}
    rules = {
        "claims": lambda path: "claim of a dead runner" if path.stem in claimed else None,
        "checkpoints": lambda path: _of_checkpoint(path, trained, checkpoints),
        "samples": lambda path: "samples of a measured profile" if path.stem in done else None,
        "predictions": lambda path: _of_predictions(path, done),
        "logs": lambda path: (
            "log of a recorded training" if path.stem.removesuffix("-kept") in done else None
        ),
    }
    for folder, rule in rules.items():
        for path in sorted((store.runs / folder).glob("*")):
            reason = rule(path) if path.is_file() else None
            if reason:
                yield Leftover(path, reason)
    yield from _data_sets(store)


def _of_predictions(path: Path, done: set[str]) -> str | None:
    if path.name.endswith(".partial"):  # an interrupted evaluation goes on from it
        whole = path.name.removeprefix(".").partition(".")[0]
        return "part of a finished evaluation" if whole in done else None
    return None if path.stem in done else "predictions without a record"


def _of_checkpoint(path: Path, trained: set[str], final: bool) -> str | None:
    if path.suffix in (".partial", ".damaged"):
        return "checkpoint that was cut off"
    if path.suffix == ".before" and path.stem in trained:
        return "checkpoint before the final one"
    if final and path.suffix == ".pt" and path.stem in trained:
        return "final weights of a recorded training"
    return None


def _data_sets(store: Store) -> Iterator[Leftover]:
    """Generated sets of no record; a user's set is a directory of links and stays."""
    used = set()
    for record in store.records("training", "evaluation"):
        work = record.work
        if isinstance(work, Evaluation):
            used.add(store.data_path(work.tested_on))
        training = getattr(work, "training", work)
        while isinstance(training, Training):
            used.add(store.data_path(training.data))
            training = training.start
    for path in sorted((store.runs / "data").glob("synthetic-*")):
        if path not in used:
            yield Leftover(path, "generated data set of no record")
