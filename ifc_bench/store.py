"""File layout of the results and runs directories; reads and writes records.

`Store` defines every file name. A record is written once.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from ifc_bench.config import AnyWork, Data, FolderData, Profile, Training, WeightsFile
from ifc_bench.errors import printable_message, refuse_irregular
from ifc_bench.records import REPEATED, Record, Status
from ifc_bench.records.files import StrayFileError, files_of, read_record, write_record

UNFINISHED = ".unfinished"  # the suffix of the mark beside a checkpoint
COMMITTED = Path(__file__).resolve().parents[1] / "results" / "baseline"
_KINDS = ("count", "training", "evaluation", "profile", "footprint", "external")
_CLEARLY_MORE = 1.05  # GPUs of one kind differ by less
_NAME = re.compile(r"[0-9a-f]{16}\.json")
_warned: set[str] = set()


class Store:
    """Records under `results`, large and temporary files under `runs`.

    Work whose record has a status in `retry` counts as not done, and its record is replaced. So
    does work that ran out of memory on a device that had clearly less than `memory` bytes.
    """

    def __init__(
        self,
        results: Path,
        runs: Path,
        retry: Collection[Status] = REPEATED,
        memory: int | None = None,
    ) -> None:
        self.results = results
        self.runs = runs
        self.retry = retry
        self.memory = memory
        self._read: dict[str, tuple[tuple[int, int], Record]] = {}
        self._outcomes: dict[str, tuple[tuple[int, int], Record]] = {}

    def retrying(self, *more: Status) -> Store:
        """The same store, in which work with one of these statuses counts as not done as well."""
        return Store(self.results, self.runs, {*self.retry, *more}, self.memory)

    def elsewhere(self, results: Path, runs: Path) -> Store:
        """A store in other directories, in which the same work counts as not done."""
        return Store(results, runs, self.retry, self.memory)

    def log_path(self, key: str) -> Path:
        """The output of the process of a task; `key` names the task."""
        return self.runs / "logs" / f"{key}.log"

    def record_path(self, work: AnyWork) -> Path:
        """The file of a piece of work: `results/<kind>s/<id>.json`."""
        return self.results / f"{work.kind}s" / f"{work.id}.json"

    def files_of(self, work: AnyWork) -> list[Path]:
        """The files of the record of `work` that exist, the record itself last."""
        return files_of(self.record_path(work))

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

    def has_weights(self, training: Training) -> bool:
        """Return whether there is a final checkpoint; an unfinished one has a mark beside it."""
        path = self.checkpoint_path(training)
        return path.exists() and not path.with_suffix(UNFINISHED).exists()

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

    def index_path(self, annotations_hash: str) -> Path:
        """The index of an annotation file that was checked."""
        return self.runs / "data" / "indexes" / f"{annotations_hash[:16]}.index"

    def claims(self) -> Path:
        """The directory of the claims of runners, which share the work of these directories."""
        return self.runs / "claims"

    def load(self, work: AnyWork) -> Record | None:
        """The record of `work`, or None."""
        path = self.record_path(work)
        return self._load_path(path) if path.exists() else None

    def done(self, work: AnyWork) -> bool:
        """Return whether `work` has a record that need not be made again."""
        record = self.outcome(work)
        return record is not None and not self.retries(record)

    def outcome(self, work: AnyWork) -> Record | None:
        """The record of `work` without its result, or None.

        It is small, and a sweep keeps that of every piece of work in memory.
        """
        path = self.record_path(work)
        if not path.exists():
            return None
        stamp = _stamp(path)
        known = self._outcomes.get(path.name)
        if known is None or known[0] != stamp:
            lean = {"result": None, "work": work}
            known = stamp, self._load_path(path, keep=False).model_copy(update=lean)
            self._outcomes[path.name] = known
        return known[1]

    def retries(self, record: Record) -> bool:
        """Return whether the work of `record` is to be done again."""
        if record.status in self.retry:
            return True
        had = record.provenance.device.memory_bytes
        if record.status != "out_of_memory" or isinstance(record.work, Profile):
            return False  # a profile is of its device
        return self.memory is not None and had is not None and self.memory > _CLEARLY_MORE * had

    def save(self, record: Record) -> Path:
        """Write a record and its hash, atomically. It replaces only a record to be retried.

        Raises:
            UserError: if the record contradicts itself; nothing is written then.
        """
        path = self.record_path(record.work)
        if self.done(record.work):
            return path
        write_record(path, record)
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

    def record_files(self) -> Iterator[Path]:
        """Yield every file with a record's name, readable or not, by kind and id."""
        for kind in _KINDS:
            for path in sorted((self.results / f"{kind}s").glob("*.json")):
                if _NAME.fullmatch(path.name):
                    yield path

    def read(self, path: Path) -> Record:
        """Read the record in a file.

        Raises:
            UserError: if it is damaged, or the record of other work.
        """
        return self._load_path(path)

    def named(self, kind: str, id: str) -> Record | None:
        """The record of an id, or None.

        Raises:
            UserError: if its file is damaged.
        """
        name = f"{id}.json"
        path = self.results / f"{kind}s" / name
        return self._load_path(path) if _NAME.fullmatch(name) and path.exists() else None

    def _load_path(self, path: Path, keep: bool = True) -> Record:
        refuse_irregular(path)
        try:
            stamp = _stamp(path)
            known = self._read.get(path.name)
            if known is not None and known[0] == stamp:
                return known[1]
            record = read_record(path)
        except OSError as error:
            raise StrayFileError(f"{path}: cannot be read ({error.strerror})") from None
        if keep:
            self._read[path.name] = (stamp, record)
        return record


def _stamp(path: Path) -> tuple[int, int]:
    """Time and size of a file, which tell whether it is as it was."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _warn(message: str) -> None:
    """Print a warning on stderr, once per process.

    Python's `warnings` would add a line of code, and filters may hide them.
    """
    if message not in _warned:
        _warned.add(message)
        print(f"warning: {printable_message(message)}", file=sys.stderr)
