"""`visualize`: where pictures go, and what is refused before any is drawn."""

import json
import shutil

import pytest

from tests.conftest import one_line_error, run_cli


@pytest.fixture
def predictions(data_folder, tmp_path):
    content = json.loads((data_folder / "valid" / "instances.json").read_text())
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{**a, "score": 0.9} for a in content["annotations"]]))
    return path


@pytest.mark.parametrize("situation", ["../../escaped", "..", "{folder}/escaped", "a/b"])
def test_no_situation_leads_out_of_the_folder(situation, edited, tmp_path):
    path = edited(lambda c: c["videos"][0].update(situation=situation.format(folder=tmp_path)))
    out = tmp_path / "one" / "two"
    line = one_line_error(
        run_cli("visualize", f"--data={path.parent}", f"--out={out}", "--columns=1")
    )
    assert f"{path}: videos.0.situation: " in line
    assert {found.name for found in tmp_path.iterdir()} == {path.parent.name}


def test_a_situation_of_several_words_is_a_folder(edited, tmp_path):
    path = edited(lambda c: c["videos"][0].update(situation="rain & $x_$"))
    given = [f"--data={path.parent}", f"--out={tmp_path / 'p'}", "--video=1", "--columns=1"]
    assert run_cli("visualize", *given).returncode == 0
    assert (tmp_path / "p" / "rain & $x_$" / "video-1.png").is_file()


def test_rows_of_one_name_are_refused_for_one_would_be_lost(data_folder, predictions, tmp_path):
    (tmp_path / "b").mkdir()
    other = shutil.copy(predictions, tmp_path / "b")
    given = [f"--data={data_folder / 'valid'}", f"--out={tmp_path / 'p'}", "--columns=1"]
    both = [f"--predictions={predictions}", f"--predictions={other}"]
    line = one_line_error(run_cli("visualize", *given, *both))
    assert "two rows have the label 'results'" in line
    assert not (tmp_path / "p").exists()
    assert (
        run_cli("visualize", *given, *both, "--label=a", "--label=b", "--video=1").returncode == 0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold=nan"], 'Invalid value for --threshold: "nan"'),
        (["--video=1", "--frame", *["1"] * 400], "--columns, --frame: a strip of"),
    ],
)
def test_options_that_draw_nothing_are_refused(options, message, data_folder, tmp_path):
    given = [f"--data={data_folder / 'valid'}", f"--out={tmp_path / 'p'}"]
    assert message in one_line_error(run_cli("visualize", *given, *options))
