"""Facts about graphics cards, from `cards.csv`; each row names its source. Imports no torch."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from ifc_bench.config import Arithmetic, AttentionKernel, Strict
from ifc_bench.errors import UserError

_CATALOGUE = Path(__file__).with_name("cards.csv")

# Not measured: what the driver keeps of a card (ECC, page tables), and what a CUDA context, cuBLAS
# and cuDNN take besides torch's tensors.
DRIVER_SHARE = 0.03
CONTEXT_BYTES = 600 << 20
TIGHT_SHARE = 0.9


class GpuModel(Strict):
    """One model of card; peak rates are those of dense matrices.

    `fp16_acc16_tflops` and `fp16_acc32_tflops` are the tensor cores' rates by the type they
    accumulate in, None where the source gives none. A TFLOP counts a multiply-add twice.
    """

    key: str
    name: str
    variant: str
    sms: int
    memory_gib: int
    bandwidth_gb_s: float
    fp32_tflops: float
    tf32_tflops: float | None
    fp16_acc16_tflops: float | None
    fp16_acc32_tflops: float | None
    bf16_tflops: float | None
    tdp_watts: int
    compute_capability: str
    kernels: tuple[AttentionKernel, ...]
    source: str

    @property
    def usable_bytes(self) -> int:
        """An estimate of what torch's tensors can have of the card's memory."""
        return int(self.memory_gib * (1 << 30) * (1 - DRIVER_SHARE)) - CONTEXT_BYTES

    def macs_per_second(self, precision: Arithmetic) -> float | None:
        """Peak multiply-adds a second; None where the card does not compute in `precision`.

        fp16 is at the rate of float32 accumulation, which is what torch asks for.
        """
        rates = {
            "fp32": self.fp32_tflops,
            "tf32": self.tf32_tflops,
            "bf16": self.bf16_tflops,
            "fp16": self.fp16_acc32_tflops,
        }
        rate = rates[precision]
        return None if rate is None else rate * 1e12 / 2


@lru_cache
def catalogue() -> dict[str, GpuModel]:
    """Every card by key."""
    with _CATALOGUE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cards = {}
    for row in rows:
        values: dict[str, object] = {key: value or None for key, value in row.items()}
        values |= {"variant": row["variant"], "kernels": row["kernels"].split()}
        cards[row["key"]] = GpuModel.model_validate(values)
    return cards


def card(key: str) -> GpuModel:
    """The card of that key.

    Raises:
        UserError: if the catalogue has none.
    """
    known = catalogue()
    if key not in known:
        raise UserError(f"--gpu: {key!r} is none of {', '.join(known)}")
    return known[key]


def same_card(asked: str, name: str) -> bool:
    """Whether a device's `name` is a card as people call it ("RTX 2080 Ti", "V100")."""
    return bool(_plain(asked)) and _plain(asked) in _plain(name)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
