"""The page docs/why_memory.md: its tables are what the records and measurements say."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from ifc_bench.config import InterFrame
from ifc_bench.models.build import build_model
from ifc_bench.store import Store
from tests.conftest import ROOT, tiny_model

FOLDER = ROOT / "results" / "why_memory"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return script("draw_why_memory")


@pytest.fixture(scope="module")
def measure():
    return script("measure_why_memory")


def test_the_tables_of_the_page_are_current(page):
    found = json.loads((FOLDER / "diagnosis.json").read_text(encoding="utf-8"))
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, page.tables(found)) == text, "run docs/draw_why_memory.py"
    assert page.PICTURE.stat().st_size < 60_000


def test_the_records_are_whole_and_from_a_clean_tree():
    records = list(Store(FOLDER, ROOT / "runs").records(strict=True))
    assert records
    assert {record.status for record in records} == {"ok"}
    assert not [record.id for record in records if record.provenance.git_dirty]


def test_what_was_measured_is_of_the_trainings_of_the_table(measure):
    """And isolation changes nothing where frames do not communicate."""
    found = json.loads((FOLDER / "diagnosis.json").read_text(encoding="utf-8"))
    works = measure.works()
    for one in found["networks"]:
        assert works[one["arm"], one["seed"]].id == one["training"]
        whole, alone = (one["loss_by_video"][how] for how in ("whole", "isolated"))
        assert len(whole) == 60
        rise = np.array([alone[video] - whole[video] for video in whole])
        silent = one["arm"] in ("No Comm", "without gather")
        assert (np.abs(rise).max() < 1e-4) == silent


def test_intervals(page):
    assert page.paired([0.1, 0.3]) == "+0.200 [-1.071, +1.471]"
    assert page.paired([0.1]) == "+0.100"
    assert page.over_videos(np.zeros(4)) == "0"
    assert page.over_videos(np.full(4, 0.25)) == "+0.250 [+0.250, +0.250]"


def test_the_first_iteration_below_a_loss(page):
    curve = np.concatenate((np.full(100, 3.1), np.full(100, 1.0)))
    assert page.below(curve) == 100 + 31, "31 of the last 40 at 1.0 have a mean of 1.47"


def test_a_mark_that_is_not_there_is_refused(page):
    with pytest.raises(ValueError, match="0 marks of loss"):
        page.filled("no marks", {"loss": ""})
    assert page.filled("<!-- a -->\nold\n<!-- end -->", {"a": "new\n"}) == (
        "<!-- a -->\nnew\n<!-- end -->"
    )


def test_the_truth_of_a_probe(measure):
    masks = torch.zeros(2, 3, 4, 8)
    masks[0, :, 0, 0] = 1.0  # the upper left cell, in every frame
    masks[1, 1, 3, 7] = 1.0  # the lower right one, in one
    present, centre = measure.truth(torch.tensor([2, 0]), masks, 3)
    assert present.tolist() == [[0, 0, 1], [1, 0, 1], [0, 0, 1]]
    assert centre.tolist() == [[1 / 16, 1 / 8], [0.5, 0.5], [1 / 16, 1 / 8]]
    nothing, _ = measure.truth(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, 4, 8), 3)
    assert not nothing.any()


@pytest.mark.parametrize("shown", [True, False])
def test_a_probe_reads_the_memory_that_the_encoder_leaves(measure, shown):
    torch.manual_seed(0)
    model = build_model(tiny_model(InterFrame(memory_tokens=3, decoder_sees_memory=shown))).eval()
    seen = []
    model.communication.register_forward_hook(lambda m, inputs, output: seen.append(output))
    clips = torch.randint(0, 256, (2, 4, 3, 32, 48)).byte()
    with torch.no_grad():
        frames, memory = measure.encoded(model, clips)
    assert memory.shape == (2, 4, 3, 16)
    assert torch.equal(frames, seen[0][0])
    assert torch.equal(memory, seen[0][1])
