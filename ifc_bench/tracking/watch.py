"""Named scopes, with which a profiler times parts of running code.

Code that can be profiled takes a `Watch` and opens scopes with it; the default costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Watch = Callable[[str], AbstractContextManager[object]]

_NOTHING: AbstractContextManager[object] = nullcontext()


def unwatched(scope: str) -> AbstractContextManager[object]:
    """Default `Watch`, which does nothing."""
    return _NOTHING
