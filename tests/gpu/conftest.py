"""Tests that need a GPU: skipped without one, and their outcomes can be recorded.

`--record-gpu FILE` writes the outcome of each with the GPU's name ({device} in the path stands for
it), so that docs/measuring.md can tell which have ever run.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ifc_bench.cli.options import results_for
from ifc_bench.hardware.device import describe_device
from ifc_bench.provenance import provenance

_OUTCOMES: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "gpu" not in report.keywords:
        return
    if report.when == "call" or report.outcome != "passed":
        _OUTCOMES[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--record-gpu", None)
    if path is None or not torch.cuda.is_available():
        return
    origin = provenance("cuda:0", 1)
    content = {
        "device": describe_device("cuda:0", 1).model_dump(mode="json"),
        "created": origin.created,
        "git_revision": origin.git_revision,
        "packages": origin.packages,
        "outcomes": dict(sorted(_OUTCOMES.items())),
    }
    file = results_for(Path(path), describe_device("cuda:0", 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def _plain_float32():
    """Float32 means float32: TF32 is off, as in all that the project measures."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@pytest.fixture
def gpu() -> torch.device:
    return torch.device("cuda:0")
