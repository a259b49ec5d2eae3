"""Conventions of CONTRIBUTING.md that no linter knows."""

import ast
import importlib
import importlib.util
import io
import re
import tokenize
from pathlib import Path

import pytest

from ifc_bench.cli.app import COMMANDS
from tests.conftest import ROOT, run_cli

SOURCES = sorted((ROOT / "ifc_bench").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_LINES = 300
# Metaphors and words of our own for what the field has a noun for.
WORST = (
    r"\bhouse\b", r"\bseam\b", r"\bfloor\b", r"\bcards?\b", r"\bmultiply-adds\b",
    r"\bfootage\b", r"\bshorter side\b", r"\bprocessors?\b",
)  # fmt: skip
# The same in docstrings and comments of the sources, where there is more of it to avoid.
WORST_IN_SOURCES = (
    *WORST,
    r"\bfolders?\b", r"\btold\b", r"\btells\b", r"\bhears?\b", r"\bnobody\b", r"\bheld against\b",
    r"\bto be had\b", r"\btruths\b", r"\blies? (in|on|under|within)\b", r"\bthe user's own\b",
)  # fmt: skip


def docstrings(source: str) -> list[str]:
    """Docstrings of a module, its classes and its functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(n) for n in ast.walk(ast.parse(source)) if isinstance(n, kinds)]
    return [text for text in found if text]


def comments(source: str) -> list[str]:
    """Comments of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_begins_with_a_verb_or_a_noun(path):
    for text in docstrings(path.read_text(encoding="utf-8")):
        assert not re.match(r"(What|Where|How)\b", text), text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_worst_words_stay_out_of_docstrings_and_comments(path):
    source = path.read_text(encoding="utf-8")
    for text in [*docstrings(source), *comments(source)]:
        prose = re.sub(r"`[^`]*`|\"[^\"]*\"", "", text).lower()  # without names and values
        assert not [word for word in WORST_IN_SOURCES if re.search(word, prose)], text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_no_more_lines_than_it_may(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES


def dotted() -> list[tuple[str, str]]:
    """Every `ifc_bench.x.y` that a docstring or a page names, with the file that names it."""
    found = []
    for path in [*SOURCES, *PAGES]:
        text = path.read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r"`(ifc_bench(?:\.\w+)+)", text))):
            found.append((str(path.relative_to(ROOT)), name))
    return found


@pytest.mark.parametrize(("source", "name"), dotted())
def test_what_a_docstring_or_a_page_names_is_there(source, name):
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        if (
            Path(ROOT, *parts[:count]).is_dir()
            or Path(ROOT, *parts[:count]).with_suffix(".py").is_file()
        ):
            found = importlib.import_module(module) if "detectron2" not in module else None
            for attribute in parts[count:] if found else []:
                found = getattr(found, attribute)
            return
    pytest.fail(f"{source}: {name} is not there")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_the_worst_words_stay_out_of_the_first_pages(page):
    text = (ROOT / page).read_text(encoding="utf-8").lower()
    assert not [word for word in WORST if re.search(word, text)]


@pytest.mark.parametrize("command", [name for group in COMMANDS.values() for name in group])
def test_the_worst_words_stay_out_of_the_help(command):
    text = run_cli(command, "--help").stdout.lower()
    assert not [word for word in WORST if re.search(word, text)]
