"""results.json in its zip: what goes in comes out, and what is wrong is named."""

import json
import tracemalloc
import zipfile

import pytest

from ablations import PRESETS, TABLES
from ifc_bench import submission
from ifc_bench.cli import main
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


def check_here(folder, capsys) -> str:
    """`submit check` in this process, which must answer in one line."""
    videos = f"--videos={folder / 'valid.json'}"
    assert main(TABLES, PRESETS, ["submit", "check", str(folder / "s.zip"), videos]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith(f"error: {folder / 's.zip'}")
    assert told.err.count("\n") == 1
    return told.err


def test_what_unpacks_to_too_much_is_refused_by_its_header(valid, capsys, monkeypatch):
    with zipfile.ZipFile(valid / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", " " * 1001)
    monkeypatch.setattr(submission, "MOST_BYTES", 1001)
    assert "not valid JSON" in check_here(valid, capsys)
    monkeypatch.setattr(submission, "MOST_BYTES", 1000)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert "unpacks to 1001 bytes; at most 1000 are read" in check_here(valid, capsys)


def test_a_header_that_tells_too_small_a_size_costs_no_memory(valid, capsys):
    size = 50_000_000
    with zipfile.ZipFile(valid / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", bytes(size))
    told, small = size.to_bytes(4, "little"), (9).to_bytes(4, "little")
    content = (valid / "s.zip").read_bytes()
    assert content.count(told) == 2
    (valid / "s.zip").write_bytes(content.replace(told, small))
    tracemalloc.start()
    try:
        assert "not a readable zip of text (Bad CRC-32" in check_here(valid, capsys)
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_a_block_at_once_is_refused(method, valid, capsys):
    with zipfile.ZipFile(valid / "s.zip", "w", method) as archive:
        archive.writestr("results.json", "[]")
    assert f"is packed by method {method}" in check_here(valid, capsys)


def test_a_damaged_stream_is_one_line(valid, capsys):
    """Or it unpacks to the same text, which its checksum proves."""
    with zipfile.ZipFile(valid / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", json.dumps(list(range(1000))))
        packed = archive.getinfo("results.json").compress_size
    whole = (valid / "s.zip").read_bytes()
    start = 30 + len("results.json")
    told = []
    for at in (start, start + 4, start + 9, start + packed // 2, start + packed - 1):
        for value in (0x00, 0xFF, whole[at] ^ 0x10):
            broken = bytearray(whole)
            broken[at] = value
            (valid / "s.zip").write_bytes(broken)
            told.append(check_here(valid, capsys))
    refused = [line for line in told if "not a readable zip of text (" in line]
    same = [line for line in told if "found 0 (and 999 more)" in line]
    assert len(refused) + len(same) == 15
    assert len(refused) >= 10
    assert any("Error -3 while decompressing" in line for line in refused)
    (valid / "s.zip").write_bytes(whole[: len(whole) // 2])
    assert "not a readable zip" in check_here(valid, capsys)


def test_a_long_name_in_the_zip_and_a_folder_are_one_line(valid, capsys):
    with zipfile.ZipFile(valid / "s.zip", "w") as archive:
        archive.writestr("x" * 5000, "[]")
    assert len(check_here(valid, capsys)) < 400
    (valid / "s.zip").unlink()
    (valid / "s.zip").mkdir()
    assert "not a readable zip" in check_here(valid, capsys)
