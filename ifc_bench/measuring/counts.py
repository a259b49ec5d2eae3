"""MACs, parameters and bytes moved by each counted scope of the network, on the meta device.

Bytes are those of separate kernels: every operation reads its inputs (parameters included) and
writes its output once; views move nothing. Fusion and caches move less, so MACs per byte are a
lower bound of the arithmetic intensity. Times and memory are not predicted from this alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ifc_bench.config import COUNTED, Count, ModelConfig, OwnNetwork
from ifc_bench.measuring.macs import (
    MacCounter,
    UnknownOperationError,
    attention_macs,
    encoder_macs,
    probed,
)
from ifc_bench.measuring.own_network import build_own, first_line
from ifc_bench.measuring.scopes import scope_modules, watching
from ifc_bench.models.build import build_model
from ifc_bench.provenance import provenance
from ifc_bench.records import CountResult, Record, ScopeCost
from ifc_bench.store import Store

_ALLOCATIONS = frozenset({"aten::empty", "aten::empty_like", "aten::new_empty"})


@dataclass
class Running:
    """The cost of a scope so far."""

    macs: int = 0
    parameters: int = 0
    bytes_moved: int = 0


class ScopeCounter(MacCounter):
    """Adds costs to the open scope; outside all scopes, to `rest`."""

    def __init__(self, rest: str = "projection", scopes: Sequence[str] = COUNTED) -> None:
        super().__init__()
        self.scope = rest
        self.costs = {scope: Running() for scope in scopes}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        before = self.total
        output = super().__torch_dispatch__(func, types, args, kwargs)
        cost = self.costs[self.scope]
        cost.macs += self.total - before
        if not (func.is_view or func._schema.name in _ALLOCATIONS):
            cost.bytes_moved += sum(_size(x) for x in tree_leaves((args, kwargs, output)))
        return output

    def add(self, macs: int, moved: int) -> None:
        """Add costs that were not dispatched as an operation."""
        self.costs[self.scope].macs += macs
        self.costs[self.scope].bytes_moved += moved

    @contextmanager
    def within(self, scope: str) -> Iterator[None]:
        """Add costs to `scope` until the end of the block."""
        outer, self.scope = self.scope, scope
        try:
            yield
        finally:
            self.scope = outer


class FusedAttention(TorchFunctionMode):
    """Counts attention as one kernel, as on a GPU; the meta device would decompose it."""

    def __init__(self, counter: ScopeCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = args[:3]
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        mask = (kwargs or {}).get("attn_mask")
        moved = sum(_size(x) for x in (query, key, value, mask, output))
        self.counter.add(attention_macs((query, key, value), (output,)), moved)
        return output


def model_costs(model: ModelConfig, frames: int, height: int, width: int) -> dict[str, ScopeCost]:
    """Cost of each scope for one clip of `frames` frames in float32, in evaluation mode."""
    with torch.device("meta"), torch.no_grad():
        network = build_model(model).eval()
        clip = torch.empty(frames, 3, height, width)
        fused = model.attention in ("efficient", "flash")
        with FusedAttention(ScopeCounter()) if fused else nullcontext():
            probed(model)
        with ScopeCounter() as counter, FusedAttention(counter) if fused else nullcontext():
            with counter.within("backbone"):  # includes the normalisation, which is not a module
                maps = [m[None] for m in network.features(clip)]
            with watching(network, counter.within):
                network.decode(maps)
    for scope, modules in network.scope_modules().items():
        own = {p for module in modules for p in module.parameters()}  # some modules hold others
        counter.costs[scope].parameters = sum(p.numel() for p in own)
    learned = (network.memory, network.memory_positions)
    counter.costs["encoder"].parameters += sum(p.numel() for p in learned)
    return {scope: ScopeCost(**asdict(cost)) for scope, cost in counter.costs.items()}


def _size(value: Any) -> int:
    """Return the bytes of a tensor, expanded elements once; 0 for any other value."""
    if not isinstance(value, Tensor):
        return 0
    return min(value.numel() * value.element_size(), value.untyped_storage().nbytes())


def counted(work: Count) -> CountResult:
    """Count the encoder's MACs, or the cost of every scope."""
    if isinstance(work.model, OwnNetwork):
        return _counted_own(work.model, work.frames, work.height, work.width)
    clip = work.model, work.frames, work.height, work.width
    if not work.scopes:
        return CountResult(encoder_macs=encoder_macs(*clip))
    costs = model_costs(*clip)
    return CountResult(encoder_macs=costs["encoder"].macs, scopes=costs)


def _counted_own(own: OwnNetwork, frames: int, height: int, width: int) -> CountResult:
    """Count a user's own network, what no scope of its holds as "other".

    It is built in memory and then moved to the meta device. What needs the values of tensors
    (suppression of boxes, for one) cannot run there: the result then says which operation.
    """
    network = build_own(own, height, width).to("meta")
    parts = {scope: list(modules) for scope, modules in scope_modules(network).items()}
    clip = torch.empty(frames, 3, height, width, dtype=torch.uint8, device="meta")
    counter = ScopeCounter("other", (*parts, "other"))
    try:
        with torch.no_grad(), counter, FusedAttention(counter), watching(network, counter.within):
            network(clip)
    except Exception as error:  # of the user's code, or of an operation on the meta device
        return CountResult(encoder_macs=None, not_counted=_reason(counter, error))
    rest = set(network.parameters())
    for scope, modules in parts.items():
        held = {p for module in modules for p in module.parameters()}
        counter.costs[scope].parameters = sum(p.numel() for p in held)
        rest -= held
    counter.costs["other"].parameters = sum(p.numel() for p in rest)
    scopes = {scope: ScopeCost(**asdict(cost)) for scope, cost in counter.costs.items()}
    return CountResult(
        encoder_macs=scopes["encoder"].macs if "encoder" in scopes else None, scopes=scopes
    )


def _reason(counter: ScopeCounter, error: Exception) -> str:
    if isinstance(error, UnknownOperationError):
        return f"no MACs are defined for {error.operation}"
    if counter.running:
        return f"{counter.running} cannot run without the values of its tensors"
    return first_line(error)


def count_all(works: Sequence[Count], store: Store) -> None:
    """Count the works that have no record, and save their records."""
    for work in works:
        if not store.done(work):
            store.save(Record.of(work, provenance("cpu", 1), counted(work)))
