"""A module of a user's own, for tests of what measures it."""

import sys

import pytest


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module where Python finds it; gives its name with a colon."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def written(code: str, name: str = "a_network") -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return f"{name}:"

    yield written
    for name in set(sys.modules) - before:
        if name.startswith("a_network"):
            del sys.modules[name]
