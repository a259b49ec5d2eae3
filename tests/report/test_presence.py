"""A report without results is an error that names the existing records."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.config import FolderData
from ifc_bench.recipe import varied
from ifc_bench.records import CountResult
from ifc_bench.store import Store
from tests.report.test_tables import accuracy, save


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def ask(store, capsys):
    """Return a function that runs a command here: exit code, stdout and stderr."""

    def run(*arguments):
        folders = [f"--results={store.results}", f"--runs={store.runs}"]
        code = main(TABLES, PRESETS, [*arguments, *folders])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def fill(store, name="table3a", preset="smoke", rows=None, situations=(), **changes):
    made = PRESETS[preset].model_copy(update=changes)
    table = TABLES[name](made)
    for row in table.rows[slice(rows)]:
        for window in row.windows:
            for work in table.evaluations(made, row, window):
                scores = accuracy(0.3)
                by = dict.fromkeys(situations, scores.metrics)
                save(store, work, scores.model_copy(update={"by_situation": by}))


def refused(answer) -> str:
    """Return the one line of stderr of a command that failed with exit code 2."""
    code, out, err = answer
    assert (code, out) == (2, "")
    [line] = err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_another_preset_is_named(store, ask, tmp_path):
    fill(store)
    for work in TABLES["table1"](PRESETS["quick"]).counts():
        save(store, work, CountResult(encoder_macs=1), split=None)
    wanted = (
        f"error: no records of preset quick under {store.results} for table3a; there are records "
        "of smoke (n = 2): add --preset smoke"
    )
    assert refused(ask("report")) == wanted, "table1 is of no preset"
    assert refused(ask("report", "--out", str(tmp_path / "out"))) == wanted
    assert not (tmp_path / "out").exists()
    assert ask("report", "--preset=smoke")[0] == 0


def test_other_iterations_and_windows_are_named(store, ask):
    short = PRESETS["full"].of_length(iterations=30)
    fill(store, preset="full", seeds=1, windows=(7,), video=short.video)
    said = refused(ask("report", "table3a"))
    assert (
        "there are records of full (30 iterations, n = 1): add --preset full --iterations 30"
        in (said)
    )


def test_other_data_are_named(store, ask):
    mine = FolderData(name="mine", train="a" * 64, valid="b" * 64)
    fill(store, video=varied(PRESETS["smoke"].video, {"data": mine}))
    said = refused(ask("report", "table3a"))
    assert "of smoke (data mine, n = 2): add --preset smoke --data DIRECTORY" in said


def test_records_of_other_tables_are_counted(store, ask):
    fill(store, "table2c", rows=1)
    said = refused(ask("report", "table3c", "--preset=smoke"))
    assert said.endswith("the 4 evaluations there are of other tables or options: smoke (n = 2)")


def test_without_records_the_error_names_the_first_command(ask):
    assert refused(ask("report", "table3a", "table3c", "--preset=full")).endswith(
        "do the work first: run table3a table3c --preset full"
    )
    assert refused(ask("report", "table1")).endswith("do it first: run table1")


def test_a_failure_is_a_result(store, ask):
    preset = PRESETS["smoke"]
    table = TABLES["table3a"](preset)
    save(store, table.trainings(preset, table.rows[0])[0], None, "failed")
    code, out, _ = ask("report", "table3a", "--preset=smoke")
    assert code == 0
    assert "– (1 failed)" in out


def test_the_papers_numbers_are_a_result(ask):
    code, out, _ = ask("report", "table3a", "--compare=paper")
    assert code == 0
    assert "No Comm (paper)" in out


def test_published_rows_are_a_result(ask):
    code, out, _ = ask("report", "table2a")
    assert code == 0
    assert "VisTR" in out


SIX = "plain, fast_motion, overlap, similar_appearance, motion_blur, lost_frames"


def test_a_situation_that_is_not_there(store, ask):
    wanted = "error: --situation: 'lost' is none of "
    assert refused(ask("report", "table3a", "--situation=lost")) == wanted + SIX, "of the generator"
    fill(store, situations=("fog", "rain"))
    said = refused(ask("report", "table3a", "--preset=smoke", "--situation=lost"))
    assert said == wanted + "fog, rain"
    assert ask("report", "table3a", "--preset=smoke", "--situation=fog")[0] == 0


def test_a_situation_that_is_there_but_not_evaluated(ask):
    said = refused(ask("report", "table3a", "--situation=overlap"))
    assert "no records of preset quick" in said


def test_a_situation_of_tables_that_have_none(store, ask):
    assert "table1: has no accuracies by situation" in refused(
        ask("report", "table1", "--situation=overlap")
    )
    fill(store)
    said = refused(ask("report", "table3a", "--preset=smoke", "--situation=overlap"))
    assert "'overlap': no record has situations" in said


def test_significance_of_tables_without_a_baseline(store, ask):
    said = refused(ask("significance", "table1", "table2d"))
    assert said == (
        "error: TABLE: table1, table2d: no baseline row to compare with; table2c, table3a, "
        "table3b, table3c, table3d, decoder, clip_length, decide, own, table4a, table4b, table4c, "
        "why_memory have one"
    )


def test_significance_prints_the_tables_that_have_a_baseline(store, ask):
    fill(store)
    code, out, err = ask("significance", "table2d", "table3a", "table3c", "--preset=smoke")
    assert code == 0
    assert out.count("### ") == 1
    assert "Table 3(a)" in out
    told = err.splitlines()
    assert told[0] == "note: table2d: no baseline row to compare with"
    assert told[1].startswith("note: table3c: no row can be compared with M=8")


def test_significance_without_records(store, ask):
    assert "no records of preset quick" in refused(ask("significance", "table3a"))
    fill(store, rows=1)
    said = refused(ask("significance", "table3a", "--preset=smoke"))
    assert "table3a: no row can be compared with No Comm" in said


def test_machines_that_are_named_must_be_there(store, ask, tmp_path):
    fill(store)
    given = (f"--out={tmp_path / 'o'}", f"--machines={tmp_path / 'absent'}")
    said = refused(ask("report", "table3a", "--preset=smoke", *given))
    assert said == f"error: --machines: {tmp_path / 'absent'}: no such directory"
