"""Lists rows whose speed was measured before under other conditions.

Their records count as done, for a record never ages by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ifc_bench.config import Profile
from ifc_bench.provenance import provenance
from ifc_bench.records import Device
from ifc_bench.store import Store

_CHANGING = ("torch", "torchvision", "numpy")  # packages that change speed


def tell_of_older(works: Iterable[Profile], store: Store, device: Device) -> None:
    """Tell of rows that were measured with other packages, another driver or another GPU.

    They have the same id: only the device's name is in it.
    """
    here = provenance("cpu", 1).packages
    reasons: dict[str, int] = {}
    for record in (store.outcome(work) for work in works):
        if record is None or store.retries(record):
            continue
        then, before = record.provenance.packages, record.provenance.device
        found = [
            f"{name} {then[name]} (now {here[name]})"
            for name in _CHANGING
            if name in then and name in here and then[name] != here[name]
        ]
        if before.driver != device.driver:
            found.append(f"driver {before.driver} (now {device.driver})")
        if before.uuid != device.uuid:
            found.append("another GPU of this name")
        if found:
            reasons[", ".join(found)] = reasons.get(", ".join(found), 0) + 1
    for reason, count in reasons.items():
        print(
            f"note: {count} rows were measured before with {reason}; to measure them again, use "
            "another --results",
            file=sys.stderr,
        )
