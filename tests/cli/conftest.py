"""The command line in this process: quick, and as strict as in one of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main


@pytest.fixture
def refusal(tmp_path, monkeypatch, capfd) -> Callable[..., str]:
    """Run a command in an empty folder; gives its one line of refusal, and nothing was written."""
    monkeypatch.chdir(tmp_path)

    def refused(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        code = main(TABLES, PRESETS, list(arguments))
        printed = capfd.readouterr()
        assert (code, printed.out) == (2, ""), printed
        lines = printed.err.splitlines()
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("error: ")
        assert len(lines[0]) <= 500
        assert lines[0].isprintable()
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return refused
