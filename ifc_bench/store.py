"""Where everything lies. This class owns every file name; records are written once, whole.

A record's file carries the hash of what it says, so that a change is noticed when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError
from pydantic_core import from_json

from ifc_bench.config import AnyWork, Data, FolderData, Profile, Training, WeightsFile
from ifc_bench.errors import UserError, printable_message, refuse_irregular
from ifc_bench.file_io import write_text
from ifc_bench.records import Record, Status, plain

_KINDS = ("count", "training", "evaluation", "profile", "footprint", "external")
_NAME = re.compile(r"[0-9a-f]{16}\.json")
_SEAL = "sha256"
_MEND = "restore it from git, or delete it to do the work again"
_warned: set[str] = set()


class StrayFileError(UserError):
    """A file among the records that is none of them, whatever its name."""


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

    def table_path(self, name: str) -> Path:
        """A table in Markdown that a command keeps beside the records."""
        return self.results / "tables" / f"{name}.md"

    def pictures(self) -> list[Path]:
        """PNG files under `results/pictures/`, sorted."""
        return sorted((self.results / "pictures").glob("**/*.png"))

    def holds(self, kind: str) -> bool:
        """Whether there is a directory of records of a kind."""
        return (self.results / f"{kind}s").is_dir()

    def prepare(self) -> None:
        """Make the folders and try to write there: better now than after an hour's work.

        Raises:
            OSError: where that is not possible; it names the folder.
        """
        for folder in (self.results, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(folder)) from None

    def checkpoint_path(self, training: Training) -> Path:
        return self.runs / "checkpoints" / f"{training.id}.pt"

    def weights_path(self, weights: WeightsFile) -> Path:
        """A link to the user's file that training runs start from, with the ending of its name."""
        found = sorted((self.runs / "weights").glob(f"{weights.sha256}*"))
        return found[0] if found else self.runs / "weights" / f"{weights.sha256}.pth"

    def link_weights(self, weights: WeightsFile, path: Path) -> None:
        """Link the file `path` of the user, which holds `weights`, under `runs`."""
        link = self.runs / "weights" / f"{weights.sha256}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())

    def tensorboard_path(self, training: Training) -> Path:
        return self.runs / "tensorboard" / training.id

    def predictions_path(self, evaluation: AnyWork) -> Path:
        """The tracks behind an evaluation, in the YouTube-VIS results format."""
        return self.runs / "predictions" / f"{evaluation.id}.json"

    def samples_path(self, profile: Profile) -> Path:
        """What an unfinished profile has measured so far."""
        return self.runs / "samples" / f"{profile.id}.json"

    def data_path(self, data: Data) -> Path:
        """The folder of a data set, with `train/` and `valid/`.

        An embedded set's name tells its parameters; a user's set is a folder of links.
        """
        if isinstance(data, FolderData):
            return self.runs / "data" / f"{data.name}-{data.train[:8]}-{data.valid[:8]}"
        values = data.model_dump()
        name = "-".join(str(values[key]) for key in sorted(values) if key != "kind")
        return self.runs / "data" / f"{data.kind}-{name}"

    def held_out_path(self, annotations_hash: str, part: str) -> Path:
        """Annotations of a part of a training set of the user, split by us."""
        return self.runs / "data" / "splits" / f"{annotations_hash[:16]}-{part}.json"

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
        """Write a record aside, with its hash, and move it into place; one that is there stands.

        Raises:
            UserError: where it contradicts itself; nothing is written then.
        """
        path = self.record_path(record.work)
        if self.done(record.work):
            return path
        content = plain(record)
        try:
            Record.model_validate(content)  # copies of a record may not have been
        except ValidationError as error:
            raise UserError(
                f"{path}: {_first(error)}; not a record, so it is not written"
            ) from None
        content[_SEAL] = seal(content)
        write_text(path, json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        return path

    def records(self, *kinds: str, strict: bool = False) -> Iterator[Record]:
        """Every record of some kinds (all, where none is named), by kind and id.

        What is no record at all (another name, empty, somebody else's) is left out with a warning.

        Raises:
            UserError: where a record is broken; with `strict`, at a stray file as well.
        """
        for kind in kinds or _KINDS:
            for path in sorted((self.results / f"{kind}s").glob("*.json")):
                if not _NAME.fullmatch(path.name):
                    _warn(f"{path}: not a record's name; skipped")
                    continue
                try:
                    yield self._load_path(path)
                except StrayFileError as error:
                    if strict:
                        raise
                    _warn(f"{error}; skipped")

    def named(self, kind: str, id: str) -> Record | None:
        """The record of an id, or None.

        Raises:
            UserError: where its file is broken.
        """
        name = f"{id}.json"
        path = self.results / f"{kind}s" / name
        return self._load_path(path) if _NAME.fullmatch(name) and path.exists() else None

    def _load_path(self, path: Path) -> Record:
        refuse_irregular(path)
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._read.get(path.name)
            if known is not None and known[0] == stamp:
                return known[1]
            record = _parsed(path)
        except OSError as error:
            raise StrayFileError(f"{path}: cannot be read ({error.strerror})") from None
        self._read[path.name] = (stamp, record)
        return record


def seal(content: dict[str, Any]) -> str:
    """The SHA-256 of a record's JSON object without its own: keys sorted, no spaces."""
    rest = {key: value for key, value in content.items() if key != _SEAL}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _parsed(path: Path) -> Record:
    """The record in a file."""
    text = path.read_bytes()
    if not text.strip():
        raise StrayFileError(f"{path}: is empty; {_MEND}")
    try:
        content = from_json(text)
        known = content.get(_SEAL) if isinstance(content, dict) else None
        intact = known is None or known == seal(content)  # versions before this one wrote none
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not JSON ({reason}); {_MEND}") from None
    if not intact:
        raise UserError(f"{path}: was changed after it was written; {_MEND}")
    if isinstance(content, dict):
        content.pop(_SEAL, None)
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: {_first(error)}; not a record of this version, or changed by hand; {_MEND}"
        ) from None
    place = Path(f"{record.work.kind}s") / f"{record.id}.json"
    if path.parts[-2:] != place.parts:
        raise StrayFileError(
            f"{path}: holds the record that belongs in {place}; move it there, or away"
        )
    return record


def _first(error: ValidationError) -> str:
    """The first fault, with its field."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{field[:60]}: {first['msg'].removeprefix('Value error, ')}"


def _warn(message: str) -> None:
    """Tell a person once in this process, on stderr.

    Not by Python's `warnings`: those carry a line of code, and whether they show is up to filters.
    """
    if message not in _warned:
        _warned.add(message)
        print(f"warning: {printable_message(message)}", file=sys.stderr)
