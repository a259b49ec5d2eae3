"""Tables 2(a) and 2(b): published rows, results of other systems scored here, and ours."""

import json

import pytest

from ifc_bench.store import Store
from tests.conftest import ROOT, run_cli


@pytest.fixture
def recorded(data_folder, tmp_path):
    """Score the results of a perfect system, and record them under a name."""
    truth = data_folder / "valid" / "instances.json"
    content = json.loads(truth.read_text())
    found = [
        {"score": 0.9, **{k: a[k] for k in ("video_id", "category_id", "segmentations")}}
        for a in content["annotations"]
    ]
    (tmp_path / "perfect.json").write_text(json.dumps(found))
    done = run_cli(
        "evaluate", f"--ground-truth={truth}", f"--predictions={tmp_path / 'perfect.json'}",
        "--method=Oracle", f"--results={tmp_path / 'results'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "results"


def report(results, name: str, *options: str):
    done = run_cli("report", name, f"--results={results}", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_published_and_evaluated_rows_are_listed_with_their_data(recorded):
    text = report(recorded, "table2a")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    oracle = next(line for line in rows if "Oracle" in line)
    assert "evaluated" in oracle
    assert "instances" in oracle
    assert oracle.count("100.0") >= 4
    visTR = next(line for line in rows if "VisTR (R50)" in line)  # noqa: N806
    for part in ("published", "YouTube-VIS 2019 val", "36.2", "59.8", "51.1"):
        assert part in visTR
    assert "FPS on RTX 2080 Ti" in rows[0]


def test_values_keep_full_precision_and_no_record_is_invented(recorded):
    values = json.loads(report(recorded, "table2b", "--format=json"))["values"]
    assert {v["source"] for v in values} == {"published", "evaluated"}
    ifc = [v for v in values if v["method"] == "IFC" and v["metric"] == "AP"]
    assert [v["mean"] for v in ifc] == [36.6]
    records = list(Store(recorded, ROOT / "runs").records("external"))
    assert [r.work.method for r in records] == ["Oracle"]


def test_our_rows_come_from_our_records():
    text = report(ROOT / "results" / "baseline", "table2a", "--preset=full")
    ours = next(line for line in text.splitlines() if "| ours" in line)
    assert "IFC near-online" in ours
    assert "38.4±3.1" in ours, "Table 3(a)'s IFC at T = 5 is the same five runs"
    assert "embedded benchmark (synthetic)" in ours


def test_the_head_says_in_which_arithmetic_ours_were_tested(tmp_path):
    told = report(tmp_path, "table2a", "--test-precision=bf16", "--test-compile")
    assert "; tested in bf16 (mixed precision), compiled" in told
    assert "; tested" not in report(tmp_path, "table2a")
