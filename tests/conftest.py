"""Shared pieces: a tiny model, a tiny data set, and the command line in a fresh process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ifc_bench.config import Communication, InterFrame, ModelConfig, SmallBackbone, SyntheticData

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).resolve().parent / "golden"


# Files of whole sweeps, longest first: two processes end together when these begin first.
_LONGEST = (
    "test_real_clips",
    "test_end_to_end",
    "test_processes",
    "test_profile_command",
    "test_interruptions",
    "test_own_rows",
    "test_slurm",
    "test_ray",
    "test_baseline",
    "test_first_weights",
    "test_docs",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-gpu", help="Write the outcomes of tests/gpu to this file.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; pytest-xdist would begin with those of most tests."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors here are tiny: a second thread only waits, and sums would depend on it."""
    import torch

    torch.set_num_threads(1)


def tiny_model(communication: Communication | None = None, **changes: object) -> ModelConfig:
    """The embedded structure at a size for tests."""
    base = ModelConfig(
        classes=3,
        backbone=SmallBackbone(widths=(8, 8, 16)),
        communication=communication or InterFrame(memory_tokens=2),
        width=16,
        heads=2,
        feedforward=32,
        dropout=0.0,
        queries=6,
        mask_stride=4,
        norm_groups=4,
    )
    return base.model_copy(update=changes)


@pytest.fixture(scope="session")
def tiny_data() -> SyntheticData:
    return SyntheticData(train_videos=5, validation_videos=5, frames=12, height=32, width=48)


@pytest.fixture(scope="session")
def data_folder(tiny_data: SyntheticData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ifc_bench.data.synthetic import synthesize

    folder = tmp_path_factory.mktemp("data") / "tiny"
    synthesize(tiny_data, folder)
    return folder


@pytest.fixture
def copy_of_data(data_folder: Path, tmp_path: Path) -> Path:
    """A copy of the validation split that a test may break."""
    import shutil

    return Path(shutil.copytree(data_folder / "valid", tmp_path / "broken"))


@pytest.fixture
def edited(copy_of_data: Path) -> Callable[[Callable[[dict], object]], Path]:
    """Apply an edit to the annotations of the copy; gives the file."""

    def edit(change: Callable[[dict], object]) -> Path:
        path = copy_of_data / "instances.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    return edit


@pytest.fixture
def tf32() -> Iterator[Callable[[], tuple[bool, bool]]]:
    """TF32 on, as torch or a caller may leave it; gives what products and cuDNN have now."""
    import torch

    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    yield lambda: (backends[0].allow_tf32, backends[1].allow_tf32)
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


def cpu_flags() -> set[str]:
    """The instructions of this CPU, as Linux lists them; none elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def run_cli(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command line within this process, which saves the seconds that torch takes to start."""
    from ablations import PRESETS, TABLES
    from ifc_bench.cli import main

    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("COLUMNS", "200")
        code = main(TABLES, PRESETS, [str(argument) for argument in arguments])
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # some commands choose another number
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run_process(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`python run_ablations.py ...` in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_ablations.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
        timeout=580,
    )


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that refused its input: exit code 2, one line, no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 600
    return lines[0]
