"""The table of IFC with one thing changed, and its rows that test the same trainings isolated."""

from ablations import PRESETS, TABLES
from ablations.why_memory import ARMS, TALKING
from ifc_bench.records import EvaluationResult
from ifc_bench.store import Store
from tests.conftest import run_cli, run_process

CHOSEN = ("why_memory", "--preset=smoke", "--seeds=1")


def test_isolated_rows_are_tests_of_the_same_trainings():
    for preset in PRESETS.values():
        rows = {row.label: row for row in TABLES["why_memory"](preset).rows}
        assert len({row.training.id for row in rows.values()}) == len(ARMS)
        for arm in TALKING:
            alone = rows[f"{arm}, isolated"]
            assert alone.training.id == rows[arm].training.id
            assert [test.isolated for test in (*rows[arm].tests, *alone.tests)] == [False, True]
        shared = {one.id for one in TABLES["table3a"](preset).recipes}
        assert {rows["IFC"].training.id, rows["No Comm"].training.id} <= shared


def test_each_arm_changes_the_communication_or_one_field_more():
    preset = PRESETS["full"]
    ifc, *others = TABLES["why_memory"](preset).rows[: len(ARMS)]
    for row in others:
        ours, theirs = dict(row.training.model), dict(ifc.training.model)
        assert sum(ours[name] != theirs[name] for name in ours) == 1
        assert row.training.optimisation == ifc.training.optimisation


def test_it_is_run_and_reported_like_any_other(tmp_path):
    places = (f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}")
    planned = run_cli("plan", *CHOSEN, *places).stdout
    assert "trainings: 6, 0 exist" in planned
    done = run_process("run", *CHOSEN, *places, "--device=cpu", "--workers=1")
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "results", tmp_path / "runs")
    tested = list(store.records("evaluation"))
    assert len(tested) == len(ARMS) + len(TALKING)
    assert all(isinstance(record.result, EvaluationResult) for record in tested)
    assert sum(record.work.isolated for record in tested) == len(TALKING)
    assert "incomplete" not in done.stdout
    assert "| IFC, isolated " in done.stdout
    assert run_cli("report", *CHOSEN, *places).stdout == done.stdout
