"""GPU specifications from `gpus.csv`; each row names its source. Imports no torch."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

from ifc_bench.config import Arithmetic, AttentionKernel, Strict
from ifc_bench.errors import UserError

_CATALOGUE = Path(__file__).with_name("gpus.csv")

# Estimates, not measured: the share of GPU memory that the driver reserves (ECC, page tables), and
# the memory of a CUDA context, cuBLAS and cuDNN on top of torch's tensors.
DRIVER_SHARE = 0.03
CONTEXT_BYTES = 600 << 20
TIGHT_SHARE = 0.9


class GpuModel(Strict):
    """Specifications of one GPU model; peak rates are for dense matrices.

    `fp16_acc16_tflops` and `fp16_acc32_tflops` are the tensor cores' rates by accumulation type,
    None where the source gives none. One MAC is two FLOPs.
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
        """Estimate the GPU memory available to torch's tensors."""
        return int(self.memory_gib * (1 << 30) * (1 - DRIVER_SHARE)) - CONTEXT_BYTES

    @property
    def bytes_per_second(self) -> float:
        """Peak memory bandwidth."""
        return self.bandwidth_gb_s * 1e9

    def macs_per_second(self, precision: Arithmetic) -> float | None:
        """Return peak MACs per second; None if the GPU does not support `precision`.

        fp16 is at the rate of float32 accumulation, which torch uses.
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
    """Read every GPU of the catalogue, by key."""
    with _CATALOGUE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    gpus = {}
    for row in rows:
        values: dict[str, object] = {key: value or None for key, value in row.items()}
        values |= {"variant": row["variant"], "kernels": row["kernels"].split()}
        gpus[row["key"]] = GpuModel.model_validate(values)
    return gpus


def gpu_model(key: str) -> GpuModel:
    """Return the GPU with that key.

    Raises:
        UserError: if the catalogue has no such GPU.
    """
    known = catalogue()
    if key not in known:
        raise UserError(f"--gpu: {key!r} is none of {', '.join(known)}")
    return known[key]


_OTHER_MODEL = frozenset({"ti", "super", "max", "laptop", "mobile", "ada", "pro", "d"})
_MEMORY = re.compile(r"(\d+) ?gi?b", re.IGNORECASE)


def same_gpu(asked: str, name: str, memory_bytes: int | None = None) -> bool:
    """Return whether a common GPU name ("RTX 2080 Ti", "V100 32GB") means the device `name`.

    Whole words must agree: "A10" is no A100, "RTX 2080" no RTX 2080 Ti. Memory that is `asked` for
    must agree with that in `name`, or else with `memory_bytes`.
    """
    wanted, plain = _MEMORY.search(asked), _words(_MEMORY.sub(" ", asked))
    if wanted:
        stated = _MEMORY.search(name)
        there = int(stated[1]) if stated else round((memory_bytes or 0) / (1 << 30))
        if there != int(wanted[1]):
            return False
    text, words = "".join(plain), _words(name)
    places = [
        end
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if text and "".join(words[start:end]) == text
    ]
    return any(words[end : end + 1] == [] or words[end] not in _OTHER_MODEL for end in places)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())
