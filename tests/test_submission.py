"""results.json in its zip: what goes in comes out, and what is wrong is named."""

import json
import zipfile

import pytest

from tests.conftest import one_line_error, run_cli


@pytest.fixture
def valid(data_folder, tmp_path):
    """The validation annotations with their annotations taken out, and one good prediction."""
    content = json.loads((data_folder / "valid" / "instances.json").read_text())
    masks = content["annotations"][0]["segmentations"]
    content["annotations"] = None
    (tmp_path / "valid.json").write_text(json.dumps(content))
    entry = {"video_id": 1, "category_id": 2, "score": 0.5, "segmentations": masks}
    (tmp_path / "results.json").write_text(json.dumps([entry]))
    return tmp_path


def pack(folder, *options: str):
    return run_cli(
        "submit", "pack", str(folder / "results.json"), f"--videos={folder / 'valid.json'}",
        f"--out={folder / 's.zip'}", *options,
    )  # fmt: skip


def check(folder, name: str = "s.zip"):
    return run_cli("submit", "check", str(folder / name), f"--videos={folder / 'valid.json'}")


def test_what_is_packed_passes_the_check(valid):
    assert pack(valid).returncode == 0
    with zipfile.ZipFile(valid / "s.zip") as archive:
        assert archive.namelist() == ["results.json"]
        assert archive.read("results.json") == (valid / "results.json").read_bytes()
    done = check(valid)
    assert done.returncode == 0, done.stderr
    assert "1 entries, no faults" in done.stdout


BROKEN = {
    "video": ({"video_id": 77}, "entry 0: video_id 77 is not in the ground truth"),
    "class": ({"category_id": 9}, "category_id 9 is not in the ground truth"),
    "length": ({"segmentations": [None]}, "segmentations has 1 entries"),
    "score": ({"score": "high"}, "entries.0.score"),
    "size": ({"segmentations": [{"size": [2, 2], "counts": "4"}] + [None] * 11}, "size is [2, 2]"),
    "mask": ({"segmentations": [{"size": [32, 48], "counts": "~"}] + [None] * 11}, "run-length"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_results_are_named_before_and_after_packing(change, message, valid):
    entries = json.loads((valid / "results.json").read_text())
    entries[0].update(change)
    (valid / "results.json").write_text(json.dumps(entries))
    assert message in one_line_error(pack(valid))
    assert not (valid / "s.zip").exists()
    with zipfile.ZipFile(valid / "s.zip", "w") as archive:
        archive.write(valid / "results.json", "results.json")
    line = one_line_error(check(valid))
    assert message in line
    assert "s.zip/results.json" in line


def test_the_zip_holds_results_json_at_its_root_and_nothing_else(valid):
    for names in (["sub/results.json"], ["results.json", "more.txt"], ["result.json"], []):
        with zipfile.ZipFile(valid / "s.zip", "w") as archive:
            for name in names:
                archive.writestr(name, "[]")
        assert "at its root and nothing else" in one_line_error(check(valid))


def test_what_is_no_zip_is_one_line(valid):
    (valid / "s.zip").write_bytes(b"PK no zip")
    assert "not a readable zip" in one_line_error(check(valid))
    assert "no such file" in one_line_error(check(valid, "none.zip"))
    with zipfile.ZipFile(valid / "s.zip", "w") as archive:
        archive.writestr("results.json", "[" * 200_000)
    assert "results.json" in one_line_error(check(valid))
