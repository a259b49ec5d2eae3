"""docs/measuring.md lists the tests that need a GPU and have never run on one."""

import ast
import json
import re

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "measuring.md"


def known() -> set[str]:
    """Every test of tests/gpu, as "test_file.py: name"."""
    found = set()
    for path in sorted((ROOT / "tests" / "gpu").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.add(f"{path.name}: {node.name}")
    return found


def passed() -> set[str]:
    """Those that a committed record says have passed, with all their parameters."""
    outcomes: dict[str, set[str]] = {}
    for path in (ROOT / "results" / "machines").glob("*/gpu_tests.json"):
        for node, outcome in json.loads(path.read_text(encoding="utf-8"))["outcomes"].items():
            file, _, name = node.rpartition("/")[2].partition("::")
            outcomes.setdefault(f"{file}: {name.partition('[')[0]}", set()).add(outcome)
    return {name for name, found in outcomes.items() if found <= {"passed", "skipped"}
            and "passed" in found}  # fmt: skip


def test_tests_that_have_never_run_are_listed():
    text = DOCUMENT.read_text(encoding="utf-8")
    block = re.search(r"<!-- gpu tests -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert block is not None
    never = sorted(known() - passed())
    expected = "".join(f"- {name}\n" for name in never) or "None: all have passed.\n"
    assert block[1] == expected, f"in {DOCUMENT.name} write\n{expected}"
