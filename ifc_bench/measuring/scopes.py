"""Opens the scopes of a network while its parts run, through hooks on its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from ifc_bench.tracking.watch import Watch


@contextmanager
def watching(network: nn.Module, watch: Watch) -> Iterator[None]:
    """Open each part's scope while it runs; none where the network has no `scope_modules`."""
    hooks: list[Any] = []
    opened: list[Any] = []

    def enter(scope: str) -> Any:
        def hook(*_: Any) -> None:
            opened.append(watch(scope))
            opened[-1].__enter__()

        return hook

    def leave(*_: Any) -> None:
        opened.pop().__exit__(None, None, None)

    for scope, modules in scope_modules(network).items():
        for module in modules:
            hooks.append(module.register_forward_pre_hook(enter(scope)))
            hooks.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def scope_modules(network: nn.Module) -> Mapping[str, Iterable[nn.Module]]:
    """The modules of each scope that the network names."""
    named: Callable[[], Mapping[str, Iterable[nn.Module]]] = getattr(network, "scope_modules", dict)
    return named()
