"""Compilation of a network's two parts, which windows of a video call by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ifc_bench.models.ifc import IFC


def compile_parts(network: IFC) -> None:
    """Compile `features` and `decode` of `network`, in place; torch does so at their first call."""
    network.features = torch.compile(network.features)  # type: ignore[method-assign]
    network.decode = torch.compile(network.decode)  # type: ignore[method-assign]


@contextmanager
def compiled(network: IFC) -> Iterator[None]:
    """Run `network` compiled, as in `compile_parts`; afterwards it is as before.

    Code that was compiled before is forgotten: torch does not look at hooks when it decides
    whether compiled code fits, so the code of a knock-out could run for the whole network.
    """
    torch.compiler.reset()
    compile_parts(network)
    try:
        yield
    finally:
        del network.features, network.decode
