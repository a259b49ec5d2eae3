"""The command line in this process: quick enough for a case a line."""

from __future__ import annotations

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main


def command(*arguments: object) -> int:
    """The exit code of `python run_ablations.py ...`."""
    return main(TABLES, PRESETS, [str(argument) for argument in arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that refuses its input: exit code 2, one short line."""
    capsys.readouterr()
    code = command(*arguments)
    written = capsys.readouterr()
    assert code == 2, (code, written)
    [line] = written.err.strip().splitlines()
    assert line.startswith("error: ")
    assert len(line) < 600
    return line
