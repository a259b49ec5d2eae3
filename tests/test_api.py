"""The functions for notebooks: their names and parameters are an interface."""

import inspect
import subprocess
import sys

import pandas as pd
import pytest
import torch
from scipy import stats

import ifc_bench
from ifc_bench.config import Protocol
from ifc_bench.errors import UserError
from tests.conftest import GOLDEN, ROOT, tiny_model

BASELINE = ROOT / "results" / "baseline"
PARAMETERS = {
    "compare_rows": ["results", "baseline", "metric", "by", "pairs"],
    "evaluate": ["ground_truth", "predictions"],
    "load_model": ["source", "results", "runs", "device", "own"],
    "load_results": ["folder"],
    "profile": ["model", "window", "frame_size", "device", "results", "runs", "changes"],
}


def test_names_and_parameters_are_frozen():
    assert sorted(PARAMETERS) == ifc_bench.__all__
    for name, parameters in PARAMETERS.items():
        assert list(inspect.signature(getattr(ifc_bench, name)).parameters) == parameters
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        ifc_bench.absent  # noqa: B018


def test_the_package_imports_nothing_heavy():
    code = "import sys, ifc_bench; print(*(m for m in ('torch', 'pandas') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_results_are_a_row_an_evaluation_and_compare_as_the_tables_do():
    results = ifc_bench.load_results(BASELINE)
    with pytest.raises(UserError, match=r"data: rows of .* are not comparable"):
        ifc_bench.compare_rows(results, "none")
    plain = results.query("decoder == 'unified' and S == 1 and iterations == 1000")
    assert len(plain[(plain["variant"] == "ifc M=8") & (plain["T"] == 5)]) == 5
    found = ifc_bench.compare_rows(plain, "none").set_index(["variant", "T"])
    ours = plain[plain["T"] == 20].groupby("variant")["AP"].mean().mul(100)
    assert found.loc[("full", 20), "difference"] == pytest.approx(ours["full"] - ours["none"])
    assert found.loc[("full", 20), "low"] < found.loc[("full", 20), "difference"]
    assert (found["p_holm"] >= found["p"]).all()
    paired = ifc_bench.compare_rows(plain, "none", pairs=True).set_index(["variant", "T"])
    five = plain[plain["T"] == 5].pivot(index="seed", columns="variant", values="AP")
    expected = stats.ttest_rel(five["full"], five["none"]).pvalue
    assert paired.loc[("full", 5), "p"] == pytest.approx(expected)
    apart = plain[(plain["variant"] != "none") | (plain["seed"] > 2)]
    apart = apart[(apart["variant"] == "none") | (apart["seed"] < 3)]
    with pytest.raises(UserError, match="have no seed in common; leave pairs out"):
        ifc_bench.compare_rows(apart, "none", pairs=True)
    mixed = results.query("iterations == 1000")
    with pytest.raises(UserError, match="several results of seed 0, which differ in S, decoder"):
        ifc_bench.compare_rows(mixed, "none")
    with pytest.raises(UserError, match="variant: 'noone' is none of"):
        ifc_bench.compare_rows(plain, "noone")


def test_an_empty_directory_is_told(tmp_path):
    with pytest.raises(UserError, match="has no evaluations"):
        ifc_bench.load_results(tmp_path)


def test_predictions_are_scored():
    scores = ifc_bench.evaluate(GOLDEN / "eval_easy_gt.json", GOLDEN / "eval_easy_dt.json")
    assert len(scores) == 12
    assert 0 < scores["AP"] < 1


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="'0123' has no record"):
        ifc_bench.load_model("0123", results=tmp_path)


def test_a_model_is_profiled_once(tmp_path):
    short = Protocol(processes=1, min_passes=1, min_seconds=0.01, max_seconds=0.01, scopes=False)
    given = {"frame_size": (32, 48), "video_length": 3, "protocol": short, "device": "cpu"}
    given |= {"results": tmp_path / "r", "runs": tmp_path / "r"}  # one directory for both
    row = ifc_bench.profile(tiny_model(), 2, **given)
    assert isinstance(row, pd.Series)
    assert row["fps"] > 0
    assert ifc_bench.profile(tiny_model(), 2, **given)["fps"] == row["fps"]
    assert torch.get_num_threads() == 1
