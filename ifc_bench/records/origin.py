"""The origin of a record: when, from which code and packages, and on which device."""

from __future__ import annotations

from typing import Literal

from ifc_bench.records.consistency import Kept


class Device(Kept):
    """Device that the work ran on. A property that could not be read is None, never guessed."""

    kind: Literal["cpu", "cuda"]
    name: str
    memory_bytes: int | None = None
    threads: int | None = None
    uuid: str | None = None
    driver: str | None = None
    compute_capability: str | None = None


class Provenance(Kept):
    """Origin of a record: time, git revision, package versions, device."""

    created: str
    git_revision: str | None
    git_dirty: bool | None
    python: str
    platform: str
    packages: dict[str, str]
    device: Device
