"""`status`, `gc`, `export` and `check`: what there is, what nothing needs, what others made."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from ablations import PRESETS, TABLES
from ifc_bench.hardware.device import describe_device
from ifc_bench.store import Store
from ifc_bench.sweep.claims import Claims, Owner
from ifc_bench.sweep.executor import Ending
from ifc_bench.sweep.plan import label, make_plan
from ifc_bench.sweep.scheduler import failure
from ifc_bench.sweep.status import progress, spent
from ifc_bench.sweep.tasks import Settings
from tests.conftest import ROOT, one_line_error, run_cli
from tests.sweep.test_executors import done

BASELINE = ROOT / "results" / "baseline"
CHOSEN = ("table3d", "--preset=smoke", "--seeds=1", "--window=5")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def places(store):
    return (f"--results={store.results}", f"--runs={store.runs}")


@pytest.fixture
def plan():
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
    return make_plan([TABLES["table3d"](preset)], preset, describe_device("cpu", 1))


def test_status_counts_what_is_done_running_failed_and_not_run(store, plan, places):
    first, second = plan.trainings
    store.save(done(first))
    store.save(failure(second, Ending("timed_out", "late"), Settings(("cpu",), 1, 1)))
    with Claims(store.claims()) as claims:
        claims.take(first.id)
        kinds = {one.kind: one for one in progress(plan, store)}
        assert (kinds["training"].done, kinds["training"].bad) == (1, {"timed out": 1})
        assert (kinds["evaluation"].running, kinds["evaluation"].not_run) == (1, 1)
        shown = run_cli("status", *CHOSEN, *places).stdout
    assert "| table3d | training   | 1      | 0         | 1 timed out        | 0         |" in shown
    assert f"| {label(first)} " in shown
    assert "| yes " in shown
    [device] = spent(plan, store)
    assert device.pieces == {"training": 1}
    assert device.training_hours == pytest.approx(1 / 3600)
    assert "claimed" not in run_cli("status", *CHOSEN, *places).stdout


def test_gpu_hours_count_every_process(store, plan):
    record = done(plan.trainings[0])
    result = record.result.model_copy(update={"wall_seconds": 1800.0, "processes": 8})
    store.save(record.model_copy(update={"result": result}))
    assert spent(plan, store)[0].training_hours == pytest.approx(4.0)


def leave(store, plan):
    """One finished training, one on its way, and what both have left behind."""
    first, second = plan.trainings
    store.save(done(first))
    folder = store.checkpoint_path(first).parent
    folder.mkdir(parents=True)
    of_both = [f"{one.id}{end}" for one in (first, second) for end in (".pt", ".before")]
    for name in (*of_both, "x.damaged"):
        (folder / name).write_bytes(b"x" * 100)
    for path in (
        store.log_path(first.id),
        store.log_path(second.id),
        store.predictions_path(plan.evaluations[0]),
        store.data_path(first.data) / "instances.json",
        store.runs / "data" / "synthetic-of-nothing" / "instances.json",
        store.claims() / "half-written.claim",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    dead = {**vars(replace(Owner.this(), process=2**30)), "beats": 1}
    (store.claims() / "dead.claim").write_text(json.dumps(dead))


def files(store):
    return {str(p.relative_to(store.runs)) for p in store.runs.rglob("*") if p.is_file()}


def test_gc_lists_first_and_deletes_with_yes_only_what_no_record_needs(store, plan, places):
    leave(store, plan)
    first, second = plan.trainings
    before = files(store)
    shown = run_cli("gc", *places)
    assert shown.returncode == 0
    assert "with --yes they are deleted" in shown.stdout
    assert files(store) == before
    assert "deleted" in run_cli("gc", *places, "--yes").stdout
    gone = before - files(store)
    assert gone == {
        f"checkpoints/{first.id}.before",
        "checkpoints/x.damaged",
        f"logs/{first.id}.log",
        f"predictions/{plan.evaluations[0].id}.json",
        "data/synthetic-of-nothing/instances.json",
        "claims/dead.claim",
    }
    assert f"checkpoints/{second.id}.pt" in files(store), "its training goes on from it"
    assert run_cli("gc", *places, "--yes", "--checkpoints").returncode == 0
    assert f"checkpoints/{first.id}.pt" not in files(store)
    assert f"checkpoints/{second.id}.pt" in files(store)
    assert "nothing that no record needs" in run_cli("gc", *places).stdout


def test_gc_waits_for_a_runner(store, plan, places):
    leave(store, plan)
    before = files(store)
    with Claims(store.claims()) as claims:
        claims.take("other")
        refused = run_cli("gc", *places, "--yes")
    assert "is at work; wait for its end" in one_line_error(refused)
    assert before <= files(store)


def test_export_is_a_row_a_record(tmp_path):
    for form, read in (
        ("csv", pd.read_csv),
        ("jsonl", lambda path: pd.read_json(path, lines=True)),
    ):
        out = tmp_path / form
        made = run_cli("export", f"--results={BASELINE}", f"--out={out}", f"--format={form}")
        assert made.returncode == 0, made.stderr
        table = read(out / f"evaluations.{form}").set_index("id")
        records = list(Store(BASELINE, BASELINE).records("evaluation"))
        assert len(table) == len(records)
        for record in records[::40]:
            row = table.loc[record.id]
            assert row["metrics.AP"] == pytest.approx(record.result.metrics["AP"], abs=1e-12)
            assert row["seed"] == record.work.training.seed
            assert row["T"] == record.work.window
        assert "fps" in read(out / f"profiles.{form}")
    nothing = run_cli("export", f"--results={tmp_path}", f"--out={tmp_path / 'x'}")
    assert "has no records" in one_line_error(nothing)


@pytest.fixture
def theirs(tmp_path):
    """A part of the committed records."""
    folder = tmp_path / "theirs"
    for kind in ("trainings", "evaluations", "profiles"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((BASELINE / kind).glob("*.json*"))[:6]:
            shutil.copy(path, folder / kind)
    return folder


def test_check_finds_no_fault_in_sound_records(theirs):
    checked = run_cli("check", theirs)
    assert checked.returncode == 0, checked.stderr
    assert "no faults" in checked.stdout


def test_check_names_every_fault(theirs):
    changed, dirty = sorted((theirs / "trainings").glob("*.json"))[:2]
    content = json.loads(changed.read_text())
    content["result"]["parameters"] += 1
    changed.write_text(json.dumps(content))
    content = json.loads(dirty.read_text())
    content["provenance"]["git_dirty"] = True
    del content["sha256"]  # as of earlier versions
    dirty.write_text(json.dumps(content))
    checked = run_cli("check", theirs)
    assert checked.returncode == 2
    lines = [line for line in checked.stdout.splitlines() if line.startswith("fault: ")]
    assert len(lines) == 3
    assert any(changed.name in line and "was changed" in line for line in lines)
    assert any(dirty.name in line and "no commit holds" in line for line in lines)
    assert any(dirty.name in line and "has no sha256" in line for line in lines)
    assert "3 faults" in checked.stderr


def test_check_of_a_record_under_another_name(theirs):
    path = sorted((theirs / "trainings").glob("*.json"))[0]
    path.rename(path.with_name("0123456789abcdef.json"))
    checked = run_cli("check", theirs)
    assert checked.returncode == 2
    assert "holds the record that belongs in" in checked.stdout


def test_check_of_nothing(tmp_path):
    assert "no such directory" in one_line_error(run_cli("check", tmp_path / "x"))
    assert "has no records" in one_line_error(run_cli("check", tmp_path))
