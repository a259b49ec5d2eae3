"""Tables are written before they are printed, and any output can show them."""

import io
import json
import sys

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.cli.answers import Answers, print_and_keep
from ifc_bench.cli.recipes import Recipes
from ifc_bench.report.controls_in_words import Answer
from ifc_bench.report.results import read_results
from ifc_bench.store import Store
from tests.report.test_tables import accuracy, save

PRESET = PRESETS["quick"].model_copy(update={"windows": (5,)})


@pytest.fixture
def store(tmp_path):
    """Two seeds of No Comm and IFC at T = 5."""
    made = Store(tmp_path / "results", tmp_path / "runs")
    table = TABLES["own"](PRESET)
    for row in table.rows:
        for work in table.evaluations(PRESET, row, 5):
            save(made, work, accuracy(0.3 + 0.01 * work.training.seed))
    return made


class Closed(io.StringIO):
    """An output whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_closed_output_loses_no_table(store, monkeypatch):
    tables = [TABLES[name](PRESET) for name in ("own", "table3a")]
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        print_and_keep(tables, Answers(Recipes(TABLES, PRESETS), PRESET, store))
    kept = {path.name: path for path in (store.results / "tables").iterdir()}
    assert set(kept) == {"own-quick.md", "table3a-quick.md"}
    assert "30.5±0.7†" in kept["own-quick.md"].read_text(encoding="utf-8")


def test_what_is_kept_is_what_is_printed_with_its_verdict(store, capsys):
    print_and_keep([TABLES["own"](PRESET)], Answers(Recipes(TABLES, PRESETS), PRESET, store))
    kept = (store.results / "tables" / "own-quick.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == kept + "\n"
    assert "Verdict: cannot tell; with n = 2 only differences above " in kept
    assert "The committed baseline (preset full, n = 5) says: none of 4 differences" in kept


def test_controls_follow_their_table_and_are_quoted_below_others(store, monkeypatch):
    table = TABLES["decide"](PRESET)
    texts = Answers(Recipes(TABLES, PRESETS), PRESET, store)
    there = read_results(table, PRESET, store)
    assert "Controls (ours): does communication help where it must?: controls" in texts.text(there)
    machine = Answers(Recipes(TABLES, PRESETS), PRESET, store, style="json")
    assert json.loads(machine.text(there))["title"] == there.table.title
    said = [
        Answer("fog", False, "IFC", "helps", 3.25, 10),
        Answer("fog", False, "Full THW", "equivalent", 0.5, 9),
    ]
    monkeypatch.setattr("ifc_bench.cli.answers.committed_answers", lambda path, baseline: said)
    own = texts.text(read_results(TABLES["own"](PRESET), PRESET, store))
    assert own.rstrip().endswith(
        "Controls of the committed baseline (n = 9 to 10): In fog, communication helps IFC "
        "(+3.2), communication makes no difference to Full THW (+0.5)."
    )
    assert "Controls of the committed baseline" not in texts.text(there), (
        "it has controls of its own"
    )


@pytest.mark.parametrize("command", ["report", "significance"])
def test_an_output_without_the_sign_of_a_spread_gets_the_table(store, monkeypatch, command):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    code = main(TABLES, PRESETS, [command, "own", "--window=5", f"--results={store.results}"])
    output.flush()
    assert code == 0
    shown = output.buffer.getvalue().decode("ascii")
    assert "| IFC" in shown or "| 5   | IFC" in shown
    assert ("30.5?0.7?" in shown) == (command == "report")
