"""`compare` reports rows that one side lacks, and numbers that are not trustworthy."""

import json

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.config import InterFrame, ModelConfig, NoComm
from ifc_bench.report.compare import compare
from ifc_bench.report.sides import lost_rows, read_side
from ifc_bench.store import Store
from tests.report.test_profiles import TURING, card_log, process, record

NONE, IFC = (ModelConfig(communication=talk) for talk in (NoComm(), InterFrame()))
FIVE = [1.00, 1.01, 0.99, 1.02, 0.98]


@pytest.fixture
def sides(tmp_path):
    """Return a function that writes two directories, from the records of each."""

    def make(*groups):
        for name, records in zip("ab", groups, strict=True):
            for one in records:
                Store(tmp_path / name, tmp_path).save(one)
        return [str(tmp_path / name) for name in "ab"]

    return make


def measured(model=IFC, log=None):
    return record([process(s, log) for s in FIVE], model=model)


def lost(status, model=IFC):
    made = record([], model=model, status=status)
    return made if status == "out_of_memory" else made.model_copy(update={"result": None})


def run(capsys, *arguments):
    code = main(TABLES, PRESETS, ["compare", *arguments])
    return code, capsys.readouterr()


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([lost("out_of_memory")], "out of memory"),
        ([lost("failed")], "failed"),
        ([], "missing"),
    ],
)
def test_a_row_that_b_has_lost_is_named_and_fails(sides, capsys, after, told):
    a, b = sides([measured(NONE), measured()], [measured(NONE), *after])
    code, said = run(capsys, a, b)
    assert code == 1
    [line] = [line for line in said.out.splitlines() if "ifc M=8" in line]
    assert f"| lost: {told} in B " in line
    assert "| measured" in line
    values = json.loads(run(capsys, a, b, "--format=json")[1].out)["values"]
    [value] = [value for value in values if "ifc" in value["name"]]
    assert (value["b"], value["verdict"], value["reason"]) == (told, "lost", f"{told} in B")


def test_all_rows_lost_fails_too(sides, capsys):
    code, said = run(capsys, *sides([measured()], [lost("out_of_memory")]))
    assert code == 1
    assert "lost: out of memory in B" in said.out


def test_a_row_that_only_b_has_is_reported_and_does_not_fail(sides, capsys):
    a, b = sides([measured(NONE), lost("failed")], [measured(NONE), measured()])
    code, said = run(capsys, a, b)
    assert code == 0, said.err
    assert "not compared: failed in A  " in said.out


def test_a_row_without_a_number_on_either_side_is_reported(sides, capsys):
    a, b = sides([measured(NONE), lost("failed")], [measured(NONE), lost("out_of_memory")])
    code, said = run(capsys, a, b)
    assert code == 0, said.err
    assert "not compared: failed in A, out of memory in B" in said.out
    assert len(lost_rows(read_side(a), read_side(b))) == 1


def test_nothing_measured_on_both_sides_is_an_error(sides, capsys):
    code, said = run(capsys, *sides([lost("failed")], [measured()]))
    assert code == 2
    assert "no row is measured in both" in said.err


def test_an_untrustworthy_number_is_marked_and_reported(sides, capsys):
    a, b = sides([measured()], [measured(log=card_log(foreign=2))])
    code, said = run(capsys, a, b)
    assert code == 0, said.err
    assert "- ! not to be trusted: B: " in said.out
    assert "2 other processes on the GPU" in said.out
    [line] = [line for line in said.out.splitlines() if line.startswith(f"| {TURING}")]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[8].startswith("same: "), "a mark changes no verdict"
    assert cells[8].endswith("; ! B is not to be trusted: 2 other processes on the GPU")
    assert (cells[2][-1].isdigit(), cells[3][-1]) == (True, "!")


def test_a_failure_is_ignored_if_the_same_row_has_a_number(sides):
    """The row has two protocols, one of which failed."""
    again = lost("failed")
    work = again.work.model_copy(update={"protocol": again.work.protocol.model_copy(
        update={"processes": 9})})  # fmt: skip
    again = again.model_copy(update={"work": work, "id": work.id})
    a, b = (read_side(folder) for folder in sides([measured(), again], [again, measured()]))
    [row] = compare(a, b)
    assert row.ratio.value == 1
    assert lost_rows(a, b) == []
