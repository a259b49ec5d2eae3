"""The committed notebooks: executed, small, and they run again on the committed records."""

import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from ifc_bench.store import Store
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_there_and_small(path: Path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) - 1
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    assert path.stat().st_size < 400_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_again(path: Path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    book = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(book, timeout=170, kernel_name="python3", resources=where).execute()


def test_the_profiles_of_a_card_that_was_too_small(tmp_path, monkeypatch):
    """One footprint and one profile are out of memory; the notebook shows the others."""
    monkeypatch.chdir(tmp_path)
    machines = ROOT / "results" / "machines"
    folder = shutil.copytree(next(machines.iterdir()), tmp_path / "results" / "machines" / "small")
    store = Store(folder, tmp_path / "runs")
    footprint = next(r for r in store.records("footprint") if r.work.measured_on)
    profile = next(iter(store.records("profile")))
    for record, gone in ((footprint, {"peak_bytes": None}), (profile, {"processes": []})):
        lost = {"status": "out_of_memory", "result": record.result.model_copy(update=gone)}
        store.record_path(record.work).unlink()
        store.save(record.model_copy(update=lost))
    cells = json.loads((ROOT / "notebooks" / "03_profiles.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names = {"Path": Path}
    for source in code[1:]:  # the first one finds the root of the clone
        exec(source, names)
    plt.close("all")
    measured = [r for r in store.records("footprint") if r.work.measured_on]
    assert len(names["errors"]) == len(measured) - 1
    assert "out_of_memory" in set(names["profiles"]["status"])
