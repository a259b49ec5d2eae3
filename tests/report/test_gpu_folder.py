"""A folder as `make profile-gpu` leaves it goes through tables, figures and notebook.

It is faked: two attention kernels, two precisions, one row that ran out of memory. No number in it
was measured.
"""

import json
import os
import subprocess
import sys
from itertools import product

import pytest

from ifc_bench.config import (
    COUNTED,
    SCOPES,
    Footprint,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoiseFrames,
    Profile,
    RandomWeights,
)
from ifc_bench.records import (
    CountResult,
    Device,
    Energy,
    FootprintResult,
    GpuFacts,
    GpuLog,
    GpuSamples,
    ProfileResult,
    Provenance,
    Record,
    ScopeCost,
)
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.publish import publish
from ifc_bench.report.results import read_all
from ifc_bench.report.roofline import roofline_frame
from ifc_bench.store import Store
from tests.conftest import ROOT
from tests.report.test_other_machines import PRESET, TABLE
from tests.report.test_profiles import process, timed
from tests.report.test_tables import accuracy
from tests.report.test_tables import save as save_evaluation

GPU = "NVIDIA GeForce RTX 2080 Ti"
KINDS = (InterFrame(), FullTHW())


def save(store: Store, work, result, status: str = "ok") -> None:
    origin = Provenance(
        created="now", git_revision="a" * 40, git_dirty=False, python="3", platform="x",
        packages={}, device=Device(kind="cuda", name=GPU, memory_bytes=11 << 30),
    )  # fmt: skip
    store.save(Record.of(work, origin, result, status=status))


def profile(kind, attention: str, window: int, precision: str) -> Profile:
    return Profile(
        weights=RandomWeights(model=ModelConfig(communication=kind, attention=attention)),
        footage=NoiseFrames(frames=36, height=360, width=640), window=window, device=GPU,
        precision=precision,
    )  # fmt: skip


def samples(seconds: float):
    log = GpuLog(
        facts=GpuFacts(name=GPU, default_sm_clock_mhz=1350),
        samples=GpuSamples(seconds=[0.0], slowdown_bits=[0], power_watts=[200.0]),
        foreign_processes=0, graphics_processes=0,
    )  # fmt: skip
    energy = Energy(joules=1000, window_seconds=5, pass_seconds=seconds, source="energy counter")
    clocks = [1500.0] * 6
    memory = process(1.0).memory.model_copy(update={"peak_allocated_bytes": int(1e9 * seconds)})
    return process(
        seconds, log, memory=memory, masks=timed(seconds, log, sm_clock_mhz=clocks),
        network_graph=timed(0.01, log),
        scope_seconds={scope.name: [seconds / 10] for scope in SCOPES}, energy=energy, content="c",
    )  # fmt: skip


LOST = (FullTHW(), "materialised", 20, "fp32")


def save_row(store: Store, row, seconds: float) -> None:
    """Save what `profile` and `fit --check` leave for one row; the row `LOST` had no memory."""
    work = profile(*row)
    cost = ScopeCost(macs=10**9, parameters=10, bytes_moved=10**7)
    save(store, work.clip_count, CountResult(encoder_macs=5, scopes=dict.fromkeys(COUNTED, cost)))
    predicted = Footprint(
        model=work.model, frames=work.window, height=360, width=640, precision=work.precision
    )
    real = predicted.model_copy(update={"measured_on": GPU})
    save(store, predicted, FootprintResult(weights_bytes=1, peak_bytes=10**9))
    if row == LOST:
        evidence = GpuLog(facts=GpuFacts(), samples=GpuSamples(), used_bytes=9)
        lost = ProfileResult(frames=[36], processes=[], asked_bytes=2 << 30, evidence=evidence)
        save(store, work, lost, "out_of_memory")
        save(store, real, FootprintResult(weights_bytes=1, peak_bytes=None), "out_of_memory")
        return
    processes = [samples(seconds + k / 10) for k in range(3)]  # peaks differ as seconds do
    save(store, work, ProfileResult(frames=[36], processes=processes))
    save(store, real, FootprintResult(weights_bytes=1, peak_bytes=10**9))


@pytest.fixture
def folder(tmp_path):
    """A clone with no machine but the faked one."""
    for name in ("ifc_bench", "ablations", "run_ablations.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    store = Store(tmp_path / "results" / "machines" / "a-gpu", tmp_path / "runs")
    rows = product(KINDS, ("materialised", "efficient"), (5, 20), ("fp32", "fp16"))
    for number, row in enumerate(rows):
        save_row(store, row, 1 + number / 8)
    return store


def test_the_table_has_every_row_and_the_memory_that_ran_out(folder):
    text = render_profiles(folder.records("profile"), paper=PaperNumbers())
    rows = [line for line in text.splitlines() if f"| {GPU}" in line]
    assert len(rows) == 16
    assert text.count("out of memory (requested 2147 MB)") == 1
    assert "not to be trusted" not in text
    assert "warning" not in text
    assert len(roofline_frame(folder)) == 4 * 15


def test_the_report_draws_kernels_and_precisions_apart(folder, tmp_path):
    own = Store(tmp_path / "own", tmp_path / "runs")
    save_evaluation(own, TABLE.evaluations(PRESET, TABLE.rows[0], 5)[0], accuracy(0.3))
    found = read_all([TABLE], PRESET, own)
    publish(found, PRESET, own, tmp_path / "out", [folder.results])
    figures = {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")}
    for what in ("fps", "window", "memory", "roofline"):
        for precision in ("fp32", "fp16"):
            names = [n for n in figures if f"-{what}-360x640-{precision}" in n]
            assert len(names) == 1, (what, precision, sorted(figures))


def test_the_notebook_of_profiles_runs_on_it(folder, tmp_path):
    notebook = json.loads((ROOT / "notebooks" / "03_profiles.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    kept = [cell for cell in cells if "ifc_bench.profile(" not in cell]  # that one measures
    assert len(kept) == len(cells) - 1
    lines = "\n".join(kept).splitlines()
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(line for line in lines if not line.startswith("%")))
    done = python(tmp_path, "notebook.py")
    assert done.returncode == 0, done.stderr


def python(where, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=where, capture_output=True, text=True,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(where)},
    )  # fmt: skip


@pytest.mark.parametrize(("command", "installs"), [(sys.executable, False), ("false", True)])
def test_nothing_is_installed_where_python_has_all_packages(command, installs):
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "profile-gpu", f"PYTHON={command}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("pip install" in done.stdout) == installs
    assert "doctor --device cuda:0 --check 'results/machines/{device}'" in done.stdout
