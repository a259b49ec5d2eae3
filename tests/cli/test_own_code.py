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
    told = refusal("flops", f"--communication={name}:Raises", "--size=32x32", "--frames=1")
    assert f"{name}.py{message}" in told
