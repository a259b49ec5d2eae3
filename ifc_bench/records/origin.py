"""The origin of a record: when, from which code and packages, and on which device."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from ifc_bench.records.consistency import Kept


def _printable(text: str) -> str:
    """Refuse control characters, which a terminal would obey.

    Raises:
        ValueError: if there are any.
    """
    if not text.isprintable():
        raise ValueError("has control characters")
    return text


_Text = Annotated[str, AfterValidator(_printable)]


class Device(Kept):
    """Device that the work ran on. A property that could not be read is None, never guessed."""

    kind: Literal["cpu", "cuda"]
    name: _Text
    memory_bytes: int | None = None
    threads: int | None = None
    uuid: _Text | None = None
    driver: _Text | None = None
    compute_capability: _Text | None = None


class Provenance(Kept):
    """Origin of a record: time, git revision, package versions, device."""

    created: _Text
    git_revision: _Text | None
    git_dirty: bool | None
    python: _Text
    platform: _Text
    packages: dict[_Text, _Text]
    device: Device
