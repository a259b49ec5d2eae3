"""A module of the user's own that raises is told with its place, by the commands that build it."""

import pytest

CODE = """
from ifc_bench.models.communication import NoComm


class Raises(NoComm):
    def forward(self, *arguments, **named):
        raise ValueError("of another shape")
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE, ":7, in forward: ValueError: of another shape"),
        ("import absent as a\nRaises = a.R\n", ":1, in <module>: ModuleNotFoundError: No module"),
        ("def broken(:\n", ":1: SyntaxError: "),
    ],
    ids=["forward", "import", "syntax"],
)
def test_the_file_and_line_are_told(tmp_path, monkeypatch, refusal, request, code, message):
    name = f"raising_{request.node.callspec.id}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    told = refusal("flops", f"--communication={name}:Raises", "--frame-size=32x32", "--window=1")
    assert f"{name}.py{message}" in told


UNFIT = {
    "nothing": "    def across(self, *a, **n): return None",
    "shape": "    def across(self, tokens, *a, **n): return tokens[:, :1], a[0]",
    "channels": "    def across(self, t, m, *a, **n): return t.repeat(1, 1, 1, 2), m",
    "three": "    def across(self, tokens, *a, **n): return tokens, tokens, tokens",
    "arguments": "    def __init__(self): pass",
    "bare": "    def __init__(self, layer, blocks): pass",
    "absent": "    pass",
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("command", ["flops", "fit"])
def test_a_class_that_does_not_fit_the_network_is_told_with_its_file(
    name, command, tmp_path, monkeypatch, refusal
):
    """The error arises in the network, so no line of the user's file is behind it."""
    module = f"unfit_{name}_{command}"
    head = "from ifc_bench.models.communication import Communication\n\nclass Own(Communication):\n"
    (tmp_path / f"{module}.py").write_text(head + UNFIT[name] + "\n")
    (tmp_path / "results").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    told = refusal(command, f"--communication={module}:Own", "--frame-size=32x32", "--window=2")
    assert f"{module}.py" in told


def test_a_call_of_sys_exit_is_told_with_its_place(tmp_path, monkeypatch, refusal):
    (tmp_path / "leaving.py").write_text("import sys\n\nsys.exit(3)\nclass Own: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = refusal("flops", "--communication=leaving:Own", "--frame-size=32x32", "--window=1")
    assert "leaving.py:3: calls sys.exit(3); remove that" in told


def test_a_package_that_is_no_python_is_told_with_its_place(tmp_path, monkeypatch, refusal):
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text("x = (\n")
    (tmp_path / "broken_package" / "own.py").write_text("class Own: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = refusal(
        "flops", "--communication=broken_package.own:Own", "--frame-size=32x32", "--window=1"
    )
    assert "__init__.py:1: SyntaxError" in told


def test_a_package_that_calls_sys_exit_is_one_line(tmp_path, monkeypatch, refusal):
    (tmp_path / "leaving_package").mkdir()
    (tmp_path / "leaving_package" / "__init__.py").write_text("import sys\n\nsys.exit(0)\n")
    (tmp_path / "leaving_package" / "own.py").write_text("class Own: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = refusal("flops", "--communication=leaving_package.own:Own", "--window=1")
    assert "sys.exit(0)" in told
