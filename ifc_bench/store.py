"""Where everything lies. This class owns every file name; records are written once, whole."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from ifc_bench.config import AnyWork, Data, FolderData, Profile, Training, WeightsFile
from ifc_bench.errors import UserError
from ifc_bench.records import Record, Status, plain

_KINDS = ("count", "training", "evaluation", "profile", "footprint", "external")


class Store:
    """Records under `results`, everything large or temporary under `runs`.

    Work whose record has a status of `retry` counts as not done, and its record gives way.
    """

    def __init__(
        self, results: Path, runs: Path, retry: Collection[Status] = frozenset({"failed"})
    ) -> None:
        self.results = results
        self.runs = runs
        self.retry = retry
        self._read: dict[str, tuple[tuple[int, int], Record]] = {}

    def record_path(self, work: AnyWork) -> Path:
        """The file of a piece of work: `results/<kind>s/<id>.json`."""
        return self.results / f"{work.kind}s" / f"{work.id}.json"

    def prepare(self) -> None:
        """Make the folders and try to write there: better now than after an hour's work.

        Raises:
            OSError: where that is not possible.
        """
        for folder in (self.results, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass

    def checkpoint_path(self, training: Training) -> Path:
        return self.runs / "checkpoints" / f"{training.id}.pt"

    def weights_path(self, weights: WeightsFile) -> Path:
        """A link to a file of the user's that trainings start from; its name keeps the ending."""
        found = sorted((self.runs / "weights").glob(f"{weights.sha256}.*"))
        return found[0] if found else self.runs / "weights" / f"{weights.sha256}.pth"

    def adopt_weights(self, path: Path) -> WeightsFile:
        """Link a weights file of the user's here, and tell what it holds.

        Raises:
            UserError: where there is no such file.
        """
        if not path.is_file():
            raise UserError(f"--start: {path}: no such file")
        digest, released, tail = hashlib.sha256(), False, b""
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
                released = released or b"memory_bus" in tail + block
                tail = block[-16:]
        content = "released" if released else "imagenet"
        weights = WeightsFile.model_validate({"content": content, "sha256": digest.hexdigest()})
        link = self.runs / "weights" / f"{weights.sha256}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
        return weights

    def tensorboard_path(self, training: Training) -> Path:
        return self.runs / "tensorboard" / training.id

    def predictions_path(self, evaluation: AnyWork) -> Path:
        """The tracks behind an evaluation, in the YouTube-VIS results format."""
        return self.runs / "predictions" / f"{evaluation.id}.json"

    def samples_path(self, profile: Profile) -> Path:
        """What an unfinished profile has measured so far."""
        return self.runs / "profiles" / f"{profile.id}.json"

    def data_path(self, data: Data) -> Path:
        """The folder of a data set, with `train/` and `valid/`.

        An embedded set's name tells its parameters; a user's set is a folder of links.
        """
        if isinstance(data, FolderData):
            return self.runs / "data" / f"{data.name}-{data.train[:8]}-{data.valid[:8]}"
        values = data.model_dump()
        name = "-".join(str(values[key]) for key in sorted(values) if key != "kind")
        return self.runs / "data" / f"{data.kind}-{name}"

    def lock(self, work: AnyWork) -> FileLock:
        """Held while the work is done, so that two sweeps never do it twice at once."""
        folder = self.runs / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{work.id}.lock")

    def load(self, work: AnyWork) -> Record | None:
        """The record of `work`, or None."""
        path = self.record_path(work)
        return self._load_path(path) if path.exists() else None

    def done(self, work: AnyWork) -> bool:
        """Whether `work` has a record that need not be made again."""
        record = self.load(work)
        return record is not None and record.status not in self.retry

    def save(self, record: Record) -> Path:
        """Write a record aside and move it into place; a record that is there already stands."""
        path = self.record_path(record.work)
        if self.done(record.work):
            return path
        write_text(path, json.dumps(plain(record), separators=(",", ":"), allow_nan=False) + "\n")
        return path

    def records(self, *kinds: str) -> Iterator[Record]:
        """Every record of some kinds (all, where none is named), by kind and id."""
        for kind in kinds or _KINDS:
            for path in sorted((self.results / f"{kind}s").glob("*.json")):
                yield self._load_path(path)

    def _load_path(self, path: Path) -> Record:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._read.get(path.name)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            record = Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "top level"
            raise UserError(
                f"{path}: {field}: {first['msg']}; not a record of this version, move it away"
            ) from None
        if record.id != record.work.id or path.stem != record.id:
            raise UserError(
                f"{path}: id: is {record.id}, its work hashes to {record.work.id}; the record was "
                "changed by hand, restore it"
            )
        self._read[path.name] = (stamp, record)
        return record


def write_text(path: Path, text: str) -> None:
    """Write a whole file aside, then move it into place.

    Raises:
        OSError: where it cannot be written, also for want of space; it names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException as error:
        Path(aside).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
