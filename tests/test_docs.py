"""What the documents say is there: links, options of commands, and Python."""

import contextlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from cyclopts import MissingArgumentError

from ablations import PRESETS, TABLES
from ifc_bench.cli.app import build_app
from ifc_bench.models.build import build_communication
from ifc_bench.models.own import own_module
from tests.conftest import ROOT, run_process, tiny_model

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
_PLACEHOLDERS = {"TABLE...", "TABLE", "..."}


def commands() -> list[tuple[str, str]]:
    """Every command line of every document, without the comment that follows it."""
    found = []
    for document in DOCUMENTS:
        text = re.sub(r"\\\n\s*", " ", document.read_text(encoding="utf-8"))
        for line in re.findall(
            r"^(?:PYTHONPATH=\S+ )?python run_ablations\.py (.+)$", text, re.MULTILINE
        ):
            found.append((document.name, re.split(r"\s{3,}", line)[0]))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (document.parent / target).exists(), target


def test_there_are_commands_to_check():
    assert len(commands()) > 25


@pytest.mark.parametrize(("document", "line"), commands())
def test_commands_have_the_options_that_are_told(document, line):
    """Parsed by the real command line, up to where it would begin to work."""
    words = [word for word in shlex.split(line) if word not in _PLACEHOLDERS]
    with contextlib.suppress(MissingArgumentError):  # of a placeholder that was left out
        command, _, _ = build_app(words).parse_args(words, print_error=False, exit_on_error=False)
        assert callable(command)


def runnable() -> list[tuple[str, str]]:
    """The blocks that documents mark as runnable, each as a whole."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        pattern = r"<!-- runs in the tests -->\n```\n(.*?)```"
        found += [(document.name, block) for block in re.findall(pattern, text, re.DOTALL)]
    return found


def test_there_are_blocks_to_run():
    assert len(runnable()) >= 3


@pytest.mark.parametrize(("document", "block"), runnable())
def test_blocks_that_are_marked_run(document, block, tmp_path):
    """Line by line, beside the clone's results, with what a line writes left for the next."""
    (tmp_path / "results").symlink_to(ROOT / "results")
    for line in block.strip().splitlines():
        words = shlex.split(line)
        assert words[:2] == ["python", "run_ablations.py"], line
        done = run_process(*words[2:], cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.strip(), line


def test_the_module_of_adding_a_variant_talks(tmp_path, monkeypatch):
    """It is found by name, and its middle frame hears both neighbours."""
    text = (ROOT / "docs" / "adding_a_variant.md").read_text(encoding="utf-8")
    code, _ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "token_shift.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = build_communication(tiny_model(own_module("token_shift:TokenShift"))).eval()
    sys.modules.pop("token_shift")
    tokens, none = torch.randn(1, 3, 4, 16), torch.zeros(1, 3, 0, 16)
    places = torch.zeros_like(tokens)
    before, _ = module(tokens, none, places, none)
    for other in (0, 2):
        changed = tokens.clone()
        changed[:, other] += 1
        after, _ = module(changed, none, places, none)
        assert not torch.allclose(before[:, 1], after[:, 1])


def test_the_table_of_adding_a_variant_varies_the_schedule():
    text = (ROOT / "docs" / "adding_a_variant.md").read_text(encoding="utf-8")
    _, code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    quick = PRESETS["quick"]
    table = names["learning_rate"](quick)
    assert [one.optimisation.learning_rate for one in table.recipes] == [2e-4, 4e-4, 8e-4]
    assert table.recipes[1] == TABLES["table3a"](quick).recipes[3]


def test_the_python_of_docs_analysis_runs():
    text = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(block.replace('"results/baseline"', repr(str(ROOT / "results" / "baseline"))), names)
        assert names["ax"].get_xlabel() == "window T (frames)"
