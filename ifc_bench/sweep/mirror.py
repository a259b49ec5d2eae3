"""Files of a store at an fsspec address, for nodes that share no file system.

The runner offers what a task needs, the node takes it into a store of its own and keeps each
checkpoint at the address, from where the next node goes on. Data and weights of the user are not
copied: every node has them at the same path. Embedded data sets are made on every node.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec  # type: ignore[import-untyped]

from ifc_bench.config import AnyWork, FolderData, KeptWeights, Training, WeightsFile
from ifc_bench.errors import UserError, first_line, refuse_full_disk
from ifc_bench.file_io import user_directory, written_aside
from ifc_bench.store import UNFINISHED, Store
from ifc_bench.sweep.plan import Job

_RUNS, _RESULTS = "runs", "results"


@dataclass(frozen=True)
class Parcel:
    """Files, links and modules of the runner that a task needs, besides checkpoints.

    Attributes:
        files: paths at the address, below `results/` or `runs/`.
        links: paths below `runs/`, each with its target: a path of every node, or one of `files`.
        modules: of the user, which the task may import.
    """

    files: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    modules: tuple[str, ...] = ()


class Mirror:
    """The files at an address.

    Raises:
        UserError: if nothing can be written there.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        with self._faults():
            self.there, self.root = fsspec.core.url_to_fs(address)
            self.there.makedirs(f"{self.root}/{_RUNS}/checkpoints", exist_ok=True)

    def offer(self, job: Job, store: Store) -> Parcel:
        """Bring what `job` needs to the address.

        Raises:
            UserError: if that is not possible.
        """
        links = dict(_links(job, store))
        inside = (target for target in links.values() if not Path(target).is_absolute())
        names = {*_records(job, store), *inside}
        with self._faults():
            for name in sorted(names):
                self._put(_place(store, name), name)
            for work in _trained(job):
                path = store.checkpoint_path(work)
                if path.exists() and not self.there.exists(self._checkpoint(path)):
                    self.keep(path)
        return Parcel(tuple(sorted(names)), tuple(links.items()))

    def take(self, parcel: Parcel, job: Job, store: Store) -> None:
        """Bring what `job` needs into the store of this node, with the newest checkpoints.

        Raises:
            UserError: if the address cannot be read, or this node lacks data of the user.
        """
        with self._faults():
            for name in parcel.files:
                self._get(f"{self.root}/{name}", _place(store, name))
        for name, target in parcel.links:
            path = Path(target) if Path(target).is_absolute() else _place(store, target)
            if not path.exists():
                raise UserError(
                    f"{path}: is not on this node; with --checkpoints every node needs the data "
                    "and weights at the same path"
                )
            link = _place(store, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            aside = link.with_name(f".{link.name}.{os.getpid()}")
            aside.unlink(missing_ok=True)
            aside.symlink_to(path.resolve())
            aside.replace(link)
        for work in _trained(job):
            self.fetch(work, store)

    def keep(self, path: Path) -> None:
        """Copy a checkpoint to the address; a mark beside it says that it is not the final one."""
        mark, marked = path.with_suffix(UNFINISHED), path.with_suffix(UNFINISHED).exists()
        with self._faults():
            if marked:
                self.there.touch(self._checkpoint(mark))
            self._put(path, f"{_RUNS}/checkpoints/{path.name}")
            if not marked:
                with suppress(FileNotFoundError):
                    self.there.rm(self._checkpoint(mark))

    def fetch(self, work: Training, store: Store) -> None:
        """Bring the newest checkpoint of `work` into `store`; nothing where there is none."""
        path = store.checkpoint_path(work)
        mark = path.with_suffix(UNFINISHED)
        with self._faults():
            self.there.invalidate_cache()
            marked = self.there.exists(self._checkpoint(mark))
            if not self.there.exists(self._checkpoint(path)):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            self._get(self._checkpoint(path), path)
            if not marked:
                mark.unlink()

    def _checkpoint(self, path: Path) -> str:
        return f"{self.root}/{_RUNS}/checkpoints/{path.name}"

    def _put(self, path: Path, name: str) -> None:
        """Copy a file there, where it appears at once."""
        place = f"{self.root}/{name}"
        self.there.makedirs(place.rpartition("/")[0], exist_ok=True)
        self.there.put_file(str(path), f"{place}.part")
        self.there.mv(f"{place}.part", place)

    def _get(self, place: str, path: Path) -> None:
        with written_aside(path) as aside:
            self.there.get_file(place, str(aside))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Name the address in errors; each kind of file system has its own."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            refuse_full_disk(error)
            raise UserError(
                f"--checkpoints: {self.address}: {first_line(error)}; name an address that every "
                "node can read and write, such as s3://bucket/directory"
            ) from None


class Keeper:
    """Keeps checkpoints at the address while their training goes on."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror, self._pool = mirror, ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __call__(self, path: Path) -> None:
        """Keep the checkpoint at `path`; of those that wait, the last one is enough."""
        if self._last is not None:
            self._last.cancel()
        self._last = self._pool.submit(self._mirror.keep, path)

    def close(self) -> None:
        """Wait until the last checkpoint is there.

        Raises:
            UserError: if it is not.
        """
        self._pool.shutdown()
        if self._last is not None:
            self._last.result()


def store_of_node(node: str, address: str, store: Store) -> Store:
    """The store of a node for the files at `address`, in its directory for temporary files."""
    name = hashlib.sha256(f"{node} {address}".encode()).hexdigest()[:16]
    place = user_directory() / name
    return store.elsewhere(place / _RESULTS, place / _RUNS)


def _trained(job: Job) -> list[Training]:
    """The training runs whose checkpoints a job reads."""
    return [] if job.kept else [work for work in (job.start, job.training) if work is not None]


def _place(store: Store, name: str) -> Path:
    where, _, rest = name.partition("/")
    return (store.results if where == _RESULTS else store.runs) / rest


def _records(job: Job, store: Store) -> Iterator[str]:
    """The files of `results/` that a job looks at: records, and kept weights."""
    start = job.training.start
    kept = [start.training] if isinstance(start, KeptWeights) else []
    kept += [test.training for test in job.evaluations if test.weights == "kept"]
    works: list[AnyWork] = [*_trained(job), *job.evaluations]
    for work in works:
        for path in store.files_of(work):
            yield f"{_RESULTS}/{path.relative_to(store.results)}"
    for training in kept:
        if store.kept_path(training).exists():  # else it is in the clone
            yield f"{_RESULTS}/{store.kept_path(training).relative_to(store.results)}"


def _links(job: Job, store: Store) -> Iterator[tuple[str, str]]:
    """The links below `runs/` that a job reads, and their targets."""
    paths: list[Path] = []
    for data in {job.training.data, *(test.tested_on for test in job.evaluations)}:
        if isinstance(data, FolderData):
            paths += sorted(p for p in store.data_path(data).glob("*/*") if p.is_symlink())
    if isinstance(job.training.start, WeightsFile):
        paths.append(store.weights_path(job.training.start))
    runs = store.runs.resolve()
    for path in paths:
        target = path.resolve()
        inside = target.is_relative_to(runs)
        named = f"{_RUNS}/{target.relative_to(runs)}" if inside else str(target)
        yield f"{_RUNS}/{path.relative_to(store.runs)}", named
