"""File layout of the results and runs directories; reads and writes records.

`Store` defines every file name. A record is written once, atomically. Its file contains the hash of
its content and that of the columns in the file beside it, so that a later change is detected when
it is read.
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
from ifc_bench.file_io import write_bytes, write_text
from ifc_bench.records import Record, Status, plain
from ifc_bench.records.columns_file import SUFFIX, with_columns, without_columns

COMMITTED = Path(__file__).resolve().parents[1] / "results" / "baseline"
_KINDS = ("count", "training", "evaluation", "profile", "footprint", "external")
_NAME = re.compile(r"[0-9a-f]{16}\.json")
_SEAL = "sha256"
_COLUMNS = "columns_sha256"
_MEND = "restore it from git, or delete it to do the work again"
_warned: set[str] = set()


class StrayFileError(UserError):
    """A file in a directory of records that is not one of them, whatever its name."""


class Store:
    """Records under `results`, large and temporary files under `runs`.

    Work whose record has a status in `retry` counts as not done, and its record is replaced.
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
        """The Markdown file of a table that a command writes beside the records."""
        return self.results / "tables" / f"{name}.md"

    def pictures(self) -> list[Path]:
        """PNG files under `results/pictures/`, sorted."""
        return sorted((self.results / "pictures").glob("**/*.png"))

    def holds(self, kind: str) -> bool:
        """Return whether there is a directory of records of a kind."""
        return (self.results / f"{kind}s").is_dir()

    def prepare(self) -> None:
        """Create the directories and try to write there, before hours of work.

        Raises:
            OSError: if that is not possible; it names the directory.
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

    def kept_path(self, training: Training) -> Path:
        """Final weights in half precision, which `keep` writes."""
        return self.results / "weights" / f"{training.id}.safetensors"

    def kept_weights(self, training: Training) -> Path | None:
        """The kept weights of these results, else those that a clone has; None without either."""
        ours = self.kept_path(training)
        committed = COMMITTED / "weights" / ours.name
        return next((path for path in (ours, committed) if path.exists()), None)

    def weights_path(self, weights: WeightsFile) -> Path:
        """The link to the user's file of initial weights; it has the suffix of that file."""
        found = sorted((self.runs / "weights").glob(f"{weights.sha256}*"))
        return found[0] if found else self.runs / "weights" / f"{weights.sha256}.pth"

    def link_weights(self, weights: WeightsFile, path: Path) -> None:
        """Link the user's file `path`, which contains `weights`, under `runs`."""
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
        """The samples of an unfinished profile."""
        return self.runs / "samples" / f"{profile.id}.json"

    def data_path(self, data: Data) -> Path:
        """The directory of a data set, with `train/` and `valid/`.

        The name of an embedded set contains its parameters; a user's set is a directory of links.
        """
        if isinstance(data, FolderData):
            return self.runs / "data" / f"{data.name}-{data.train[:8]}-{data.valid[:8]}"
        values = data.model_dump()
        name = "-".join(str(values[key]) for key in sorted(values) if key != "kind")
        return self.runs / "data" / f"{data.kind}-{name}"

    def held_out_path(self, annotations_hash: str, part: str) -> Path:
        """Annotations of one part of a user's training set, after holding out videos."""
        return self.runs / "data" / "splits" / f"{annotations_hash[:16]}-{part}.json"

    def lock(self, work: AnyWork) -> FileLock:
        """A lock for the time of the work, so that two sweeps never do it at the same time."""
        folder = self.runs / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{work.id}.lock")

    def load(self, work: AnyWork) -> Record | None:
        """The record of `work`, or None."""
        path = self.record_path(work)
        return self._load_path(path) if path.exists() else None

    def done(self, work: AnyWork) -> bool:
        """Return whether `work` has a record that need not be made again."""
        record = self.load(work)
        return record is not None and not self.retries(record)

    def retries(self, record: Record) -> bool:
        """Return whether the work of `record` is to be done again."""
        return record.status in self.retry

    def save(self, record: Record) -> Path:
        """Write a record and its hash, atomically. It replaces only a record to be retried.

        Raises:
            UserError: if the record contradicts itself; nothing is written then.
        """
        path = self.record_path(record.work)
        if self.done(record.work):
            return path
        content = plain(record)
        try:
            Record.model_validate(content)  # copies of a record may be unvalidated
        except ValidationError as error:
            raise UserError(
                f"{path}: {_first(error)}; not a valid record, so it is not written"
            ) from None
        content, columns = without_columns(record, content)
        if columns is not None:  # first, because a record without its columns would be damaged
            write_bytes(_columns_path(path), columns)
            content[_COLUMNS] = hashlib.sha256(columns).hexdigest()
        content[_SEAL] = seal(content)
        write_text(path, json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        return path

    def records(self, *kinds: str, strict: bool = False) -> Iterator[Record]:
        """Yield every record of some kinds (default: all), by kind and id.

        Stray files (another name, empty, the record of other work) are skipped with a warning.

        Raises:
            UserError: if a record is damaged; with `strict`, also for a stray file of a valid name.
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
            UserError: if its file is damaged.
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
    """Return the SHA-256 of a record's JSON object without the hash: keys sorted, no spaces."""
    rest = {key: value for key, value in content.items() if key != _SEAL}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _parsed(path: Path) -> Record:
    """Read the record in a file."""
    text = path.read_bytes()
    if not text.strip():
        raise StrayFileError(f"{path}: is empty; {_MEND}")
    try:
        content = from_json(text)
        known = content.get(_SEAL) if isinstance(content, dict) else None
        intact = known is None or known == seal(content)  # earlier versions wrote no hash
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not JSON ({reason}); {_MEND}") from None
    if not intact:
        raise UserError(f"{path}: was changed after it was written; {_MEND}")
    if isinstance(content, dict):
        content.pop(_SEAL, None)
        if (columns := content.pop(_COLUMNS, None)) is not None:
            content = _joined(content, path, columns)
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: {_first(error)}; not a record of this version, or edited by hand; {_MEND}"
        ) from None
    expected = Path(f"{record.work.kind}s") / f"{record.id}.json"
    if path.parts[-2:] != expected.parts:
        raise StrayFileError(
            f"{path}: holds the record that belongs in {expected}; move it there, or delete it"
        )
    return record


def _columns_path(path: Path) -> Path:
    """The file of the columns of the record `path`."""
    return path.with_name(path.stem + SUFFIX)


def _joined(content: dict[str, Any], path: Path, known: str) -> dict[str, Any]:
    """Put the columns, whose SHA-256 is `known`, into the content of the record `path`."""
    beside = _columns_path(path)
    mend = f"restore it from git, or delete {path.name} to do the work again"
    if not beside.exists():
        raise UserError(f"{beside}: is missing; {mend}")
    refuse_irregular(beside)
    file = beside.read_bytes()
    if hashlib.sha256(file).hexdigest() != known:
        raise UserError(f"{beside}: was changed after it was written; {mend}")
    try:
        return with_columns(content, file)
    except ValueError as error:
        raise UserError(f"{beside}: {error}; {mend}") from None


def _first(error: ValidationError) -> str:
    """Describe the first error, with its field."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{field[:60]}: {first['msg'].removeprefix('Value error, ')}"


def _warn(message: str) -> None:
    """Print a warning on stderr, once per process.

    Python's `warnings` would add a line of code, and filters may hide them.
    """
    if message not in _warned:
        _warned.add(message)
        print(f"warning: {printable_message(message)}", file=sys.stderr)
