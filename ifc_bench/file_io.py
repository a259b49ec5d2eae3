"""Atomic, durable writes and file hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: to a temporary file first, then renamed.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: to a temporary file, flushed to disk, then renamed.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file.
    """
    with written_aside(path) as aside:
        aside.write_bytes(content)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, renamed to `path` at the end, or deleted on an error.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names `path`.
    """
    refuse_special(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
    )
    os.close(descriptor)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        with aside.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut could leave an empty file of that name
        os.replace(aside, path)
        settle(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        aside.unlink(missing_ok=True)


def settle(directory: Path) -> None:
    """Flush the names in `directory` to disk, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def user_directory() -> Path:
    """A directory for temporary files that only this user can read."""
    folder = Path(tempfile.gettempdir()) / f"ifc-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def partial_path(path: Path) -> Path:
    """The file of the finished part of predictions that will be at `path`."""
    return path.with_name(f".{path.name}.partial")


def refuse_special(path: Path) -> None:
    """Refuse a path that exists and is not a file: a rename would replace a device.

    Raises:
        OSError: if it is a directory, a device or a pipe.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a regular file", str(path))


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
