"""A mapping from a module that is imported on first use: many commands need no recipes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any


class Later(Mapping[str, Any]):
    """The mapping `name` of `module`, which is imported at the first look into it."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return getattr(importlib.import_module(self._module), self._name)

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)
