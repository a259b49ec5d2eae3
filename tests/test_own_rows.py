"""`--own` on the command line: a row for a user's module, in the tables that compare modules."""

import json

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.models.own import own_module
from tests.conftest import one_line_error, run_cli, run_process

CODE = '''
from ifc_bench.models.communication import NoComm


class Silent(NoComm):
    """No Comm under another name."""
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "silence.py").write_text(CODE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_row_stands_last_and_the_others_keep_their_ids(folder):
    smoke = PRESETS["smoke"]
    table = TABLES["own"](smoke)
    more = table.with_communication(smoke, own_module("silence:Silent"))
    assert [row.label for row in more.rows] == ["No Comm", "IFC", "Silent"]
    assert more.rows[:2] == table.rows
    shared = TABLES["table3a"](smoke).rows
    assert set(table.recipes) < {row.training for row in shared}


def test_it_is_trained_evaluated_and_measured_like_any_other(folder):
    """In processes of their own, by the smoke preset; with No Comm's weights it is No Comm."""
    places = (f"--results={folder / 'results'}", f"--runs={folder / 'runs'}")
    chosen = ("own", "--own=silence:Silent", "--preset=smoke", "--seeds=1", "--window=5", *places)
    done = run_process("run", *chosen, "--device=cpu", "--workers=2")
    assert done.returncode == 0, done.stderr
    assert "Silent" in done.stdout
    table = json.loads(run_cli("report", *chosen, "--format=json").stdout)
    scores = {v["communication"]: v["mean"] for v in table["values"] if v["metric"] == "AP"}
    assert scores["Silent"] == scores["No Comm"], "same seed, same first weights"

    (folder / "silence.py").write_text(CODE + "\n# other code\n")
    again = run_cli("plan", *chosen)
    assert again.stdout.count("to do") >= 2
    assert "3, 2 exist" in again.stdout, "the other rows' trainings"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("table3c", "--own=silence:Silent"), "needs a table of communication"),
        (("own", "--own=silence"), "is not a package.module:Class"),
        (("own", "--own=absent:Silent"), "Python finds no module 'absent'"),
        (("own", "--own=silence:Silnt"), "the module silence has no class Silnt; it has: Silent"),
    ],
)
def test_what_cannot_be_a_row_is_one_line(folder, arguments, told):
    assert told in one_line_error(run_cli("plan", *arguments))


def test_a_module_with_the_name_of_a_row_is_refused(folder):
    """Cells are found by a row's label, so the two would share one."""
    (folder / "shadow.py").write_text(CODE.replace("class Silent", "class IFC"))
    told = one_line_error(run_cli("plan", "own", "--own=shadow:IFC"))
    assert "--own: IFC: table own has a row with that name; rename the class" in told
