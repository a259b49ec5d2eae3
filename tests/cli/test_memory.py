"""Where memory runs out while a command works, it says so and how much was asked for."""

import pytest

CODE = """
from ifc_bench.models.communication import NoComm


class Hungry(NoComm):
    def forward(self, *arguments, **named):
        raise {}
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "RuntimeError(\"DefaultCPUAllocator: can't allocate memory: you tried to allocate "
            '28011115520 bytes.")',
            "out of memory (28.0 GB more requested); use smaller frames",
        ),
        ("MemoryError()", "out of memory; reduce the size of the work"),
    ],
    ids=["torch", "python"],
)
def test_what_torch_cannot_allocate_is_one_line(
    error, told, tmp_path, monkeypatch, refusal, request
):
    name = f"hungry_{request.node.callspec.id}"
    (tmp_path / f"{name}.py").write_text(CODE.format(error))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert told in refusal(
        "flops", f"--communication={name}:Hungry", "--frame-size=32x32", "--window=1"
    )


def test_a_shorter_side_has_a_bound(refusal):
    assert "--short-edge" in refusal("predict", "--data=x", "--out=r", "--short-edge=10000000000")
