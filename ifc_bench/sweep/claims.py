"""Claims: which runner does a piece of work, so that several share the work of one directory.

A claim is a small file, created exclusively, which every file system of a cluster can do; locks of
the operating system (flock) fail on some. Its owner writes to it again every few seconds. A runner
takes over a claim whose owner is dead: on its own host it looks for the process, on another it has
seen the claim unchanged for a minute by its own clock, so the clocks of two hosts need not agree.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_BEAT_SECONDS = 10.0
_DEAD_SECONDS = 60.0


@dataclass(frozen=True)
class Owner:
    """The runner that has a claim: a process, and when that process started.

    `processes` names the host's table of processes: containers of one host have their own.
    """

    id: str
    host: str
    processes: str
    process: int
    started: float

    @classmethod
    def this(cls) -> Owner:
        """A new owner in this process."""
        mine = psutil.Process()
        where = (socket.gethostname(), _table_of_processes())
        return cls(uuid.uuid4().hex, *where, mine.pid, mine.create_time())

    @property
    def gone(self) -> bool | None:
        """Whether its process has ended; None on another host, and where it cannot be known.

        Nor is it known of a process that is stopped, which may never go on.

        The start of a process moves with the clock, so another start is no proof.
        """
        if (self.host, self.processes) != (socket.gethostname(), _table_of_processes()):
            return None
        try:
            process = psutil.Process(self.process)
            state = process.status()
            if state == psutil.STATUS_ZOMBIE:
                return True
            if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
                return None
            return False if process.create_time() == self.started else None
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return None


@dataclass
class Claims:
    """The claims of one runner in `folder`. A context manager: it ends with all of them released.

    Attributes:
        beat: seconds between two signs of life.
        dead: seconds without one, after which a claim of another host is taken over.
    """

    folder: Path
    beat: float = _BEAT_SECONDS
    dead: float = _DEAD_SECONDS
    owner: Owner = field(default_factory=Owner.this)
    _mine: set[str] = field(default_factory=set)
    _seen: dict[str, tuple[bytes, float]] = field(default_factory=dict)  # content, since when
    _beats: int = 0
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Claims:
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        for key in list(self._mine):
            self.release(key)

    def take(self, key: str) -> bool:
        """Claim the piece `key` (a word); False while another living runner has it.

        Raises:
            OSError: if the claim cannot be written.
        """
        if key in self._mine:
            return True
        path = self._path(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._changing:
            if not self._created(path, self._text()):
                dead = self._dead(key)
                if dead is None or not self._taken_over(path, dead):
                    return False
            self._mine.add(key)
        return True

    def release(self, key: str) -> None:
        """Give a claim up; without effect if it is not this runner's."""
        with self._changing:
            if key in self._mine:
                self._mine.discard(key)
                if _owner_of(_content(self._path(key))) == self.owner:
                    self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.claim"

    def _text(self) -> bytes:
        return json.dumps({**vars(self.owner), "beats": self._beats}).encode()

    def _created(self, path: Path, content: bytes) -> bool:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return True

    def _dead(self, key: str) -> bytes | None:
        """The claim, if its owner has died; one who waits asks again and again."""
        content, now = _content(self._path(key)), time.monotonic()
        if content is None:
            return None  # released meanwhile
        owner = _owner_of(content)
        gone = None if owner is None else owner.gone
        if gone is not None:
            return content if gone else None
        known, since = self._seen.get(key, (None, now))
        if known != content:
            self._seen[key] = (content, now)
            return None
        return content if now - since >= self.dead else None

    def _taken_over(self, path: Path, dead: bytes) -> bool:
        """Replace the `dead` claim; False if another runner was faster."""
        aside = path.with_suffix(f".{self.owner.id}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        found = _content(aside)
        aside.unlink()
        if found != dead:  # the new claim of a faster one was moved: put it back
            self._created(path, found or b"")
            return False
        return self._created(path, self._text())

    def _live(self) -> None:
        """Give signs of life until the end."""
        while not self._over.wait(self.beat):
            with self._changing:
                self._beats += 1
                for key in list(self._mine):
                    with suppress(OSError):  # a full disk, a server that is away: next time
                        self._sign(key)

    def _sign(self, key: str) -> None:
        """Write to a claim again; give it up if another has it, because this process stood still.

        Without a file, another is looking at it, and will put it back.
        """
        path = self._path(key)
        content = _content(path)
        if content is None:
            return
        if _owner_of(content) not in (self.owner, None):
            self._mine.discard(key)
            return
        aside = path.with_suffix(".beat")
        aside.write_bytes(self._text())
        os.replace(aside, path)


@dataclass(frozen=True)
class Claim:
    """A claim as others see it; `changed` is when its owner last wrote to it, as files have it."""

    key: str
    owner: Owner
    changed: float


def claims_in(folder: Path) -> list[Claim]:
    """The claims in a directory, by key; those that are being written or released are left out."""
    found = []
    for path in sorted(folder.glob("*.claim")):
        owner = _owner_of(_content(path))
        with suppress(OSError):
            if owner is not None:
                found.append(Claim(path.stem, owner, path.stat().st_mtime))
    return found


def _table_of_processes() -> str:
    """A name for the processes that have numbers of their own: this boot, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""  # no Linux


def _content(path: Path) -> bytes | None:
    """The content of a claim; None where it is absent, or was replaced while it was opened."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise


def _owner_of(content: bytes | None) -> Owner | None:
    """The owner in a claim; None where it is absent or not yet written whole."""
    try:
        found = json.loads(content or b"")
        del found["beats"]
        return Owner(**found)
    except (ValueError, KeyError, TypeError):
        return None
