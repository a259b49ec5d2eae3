"""Output that is full or closed, strange exits, and interrupts before the command line is there."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ifc_bench import cli
from tests.conftest import ROOT

FULL = Path("/dev/full")


def run_to(
    stdout: int, more: Mapping[str, str] | None = None, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """`python run_ablations.py` with another standard output, buffered unless `more` says."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, str(ROOT / "run_ablations.py"), *(arguments or ("--help",))],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**kept, **(more or {})},
        timeout=120,
    )


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("more", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_full_output_is_one_line(more):
    with FULL.open("w") as full:
        done = run_to(full.fileno(), more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "no space left on device" in done.stderr


@pytest.mark.parametrize("more", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_reader_that_has_gone_is_no_error(more):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_to(writer, more)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_while_modules_are_read_shows_no_traceback(tmp_path):
    """cyclopts is among the first of them."""
    (tmp_path / "cyclopts.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n"
    )
    done = run_to(subprocess.DEVNULL, {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def answer(monkeypatch, error: BaseException) -> int:
    """The exit code of a command that raises `error`."""

    def broken(*arguments: object) -> list[str]:
        raise error

    monkeypatch.setattr("ifc_bench.cli.compare.read_side", broken)
    return cli.main({}, {}, ["compare", "a", "b"])


def test_an_error_of_the_system_without_a_file_is_one_line(monkeypatch, capsys):
    assert answer(monkeypatch, OSError(28, "No space left on device")) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no space left on device")
    assert printed.count("\n") == 1


def test_a_module_that_ends_the_process_is_told(monkeypatch, capsys):
    assert answer(monkeypatch, SystemExit(0)) == 2
    assert capsys.readouterr().err.startswith("error: a module called sys.exit(0)")


def test_only_the_traceback_of_an_internal_error_has_lines(capsys):
    assert cli._fail("internal error\nTraceback\n  in \x1b[31m file", 2) == 2
    assert capsys.readouterr().err == "error: internal error\nTraceback\n  in \\x1b[31m file\n"
    assert cli._fail("a\nb", 2) == 2
    assert capsys.readouterr().err == "error: a\\nb\n"
