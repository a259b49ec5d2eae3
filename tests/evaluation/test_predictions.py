"""Results files: the quick reader takes what the careful one does, and every fault has its line."""

import copy
import json
import subprocess
import sys

import pytest

from ifc_bench.data.annotations import read_instances
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack, predictions, read_predictions, score_videos
from ifc_bench.masks import areas
from ifc_bench.run_lengths import run_lengths
from tests.conftest import GOLDEN, ROOT

ENTRIES = json.loads((GOLDEN / "eval_easy_dt.json").read_text())
FIRST = next(i for i, mask in enumerate(ENTRIES[3]["segmentations"]) if mask)

HEAVY = {"torch", "pandas", "scipy", "matplotlib", "psutil", "ablations", "ifc_bench.store"}


@pytest.fixture(scope="module")
def truth():
    return read_instances(GOLDEN / "eval_easy_gt.json")


def outcome(read):
    """What was read, or the message."""
    try:
        return read()
    except UserError as error:
        return str(error)


def mask(entries):
    return entries[3]["segmentations"][FIRST]


def text(entries) -> str:
    return mask(entries)["counts"]


UNUSUAL = {
    "as it is": lambda e: None,
    "fields of others": lambda e: [x.update(id=n, iscrowd=0) for n, x in enumerate(e)],
    "a field of others in a mask": lambda e: mask(e).update(area=3),
    "whole numbers with a fraction": lambda e: e[3].update(video_id=float(e[3]["video_id"])),
    "a score that is whole": lambda e: e[3].update(score=1),
    "a score in text": lambda e: e[3].update(score="0.5"),
    "a score that is true": lambda e: e[3].update(score=True),
    "raw run lengths": lambda e: mask(e).update(counts=run_lengths(text(e))),
    "a size with fractions": lambda e: mask(e).update(size=[float(s) for s in mask(e)["size"]]),
    "nothing": lambda e: e.clear(),
    "no masks": lambda e: e[3].update(segmentations=[None for _ in e[3]["segmentations"]]),
}  # fmt: skip
BROKEN = {
    "cut off": (lambda e: mask(e).update(counts=text(e)[:-1]), "counts: "),
    "cut within a run": (lambda e: mask(e).update(counts=text(e) + "P"), "run-length text"),
    "empty": (lambda e: mask(e).update(counts=""), "run-length text"),
    "a byte out of range": (lambda e: mask(e).update(counts=text(e) + "~"), "run-length text"),
    "a byte below": (lambda e: mask(e).update(counts=" " + text(e)), "run-length text"),
    "a letter with an accent": (lambda e: mask(e).update(counts="é"), "run-length text"),
    "half a surrogate pair": (lambda e: mask(e).update(counts="\ud800"), "run-length text"),
    "a quote": (lambda e: mask(e).update(counts='"'), "run-length text"),
    "a run of eight digits": (lambda e: mask(e).update(counts="PPPPPPP0"), "run-length text"),
    "a run too many": (lambda e: mask(e).update(counts=text(e) + "1"), "pixels of"),
    "a negative run": (lambda e: mask(e).update(counts="O"), "negative run (-1)"),
    "a number": (lambda e: mask(e).update(counts=7), "entries.3.segmentations"),
    "no counts": (lambda e: mask(e).pop("counts"), "counts: Field required"),
    "no size": (lambda e: mask(e).pop("size"), "size: Field required"),
    "a size of three": (lambda e: mask(e)["size"].append(1), "size"),
    "another size": (lambda e: mask(e)["size"].reverse(), "(height, width)"),
    "a frame too many": (lambda e: e[3]["segmentations"].append(None), "entry 3: segmentations"),
    "an unknown video": (lambda e: e[3].update(video_id=99), "entry 3: video_id 99 is not in"),
    "an unknown class": (lambda e: e[3].update(category_id=99), "entry 3: category_id 99 is not"),
    "a huge id": (lambda e: e[3].update(video_id=2**70), "entries.3.video_id"),
    "an id in text": (lambda e: e[3].update(video_id="1"), "entries.3.video_id"),
    "an id that is true": (lambda e: e[3].update(category_id=True), "entries.3.category_id"),
    "no number": (lambda e: e[3].update(score=float("nan")), "entries.3.score"),
    "an endless score": (lambda e: e[3].update(score=float("inf")), "entries.3.score"),
    "a score of 400 digits": (lambda e: e[3].update(score=10**400), "entries.3.score"),
    "no masks": (lambda e: e[3].update(segmentations=None), "entries.3.segmentations"),
    "an entry that is a list": (lambda e: e.__setitem__(3, []), "entries.3"),
}


def changed(change):
    entries = copy.deepcopy(ENTRIES)
    change(entries)
    return entries


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_read_as_the_careful_reader_reads_them(name, truth, tmp_path):
    entries = changed(UNUSUAL[name])
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    found = read_predictions(path, truth)
    assert found == predictions._read_each(entries, truth, path)
    assert all(type(track.score) is float and type(track.video_id) is int for track in found)
    assert all(track.pixels.tolist() == areas(track.rles).tolist() for track in found)
    assert len(found) == len(entries)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("also", ["as it is", "fields of others"])
def test_every_fault_has_the_line_of_the_careful_reader(name, also, truth, tmp_path):
    change, message = BROKEN[name]
    entries = changed(UNUSUAL[also])
    change(entries)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    told = outcome(lambda: read_predictions(path, truth))
    assert isinstance(told, str)
    assert message in told
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    assert told == outcome(lambda: predictions._read_each(entries, truth, path))


@pytest.mark.parametrize("field", ["video_id", "category_id", "score", "segmentations"])
def test_a_field_given_twice_is_refused(field, truth, tmp_path):
    """Of two values one would be lost; so it is in masks, and in fields that nobody reads."""
    path = tmp_path / "results.json"
    twice = json.dumps(ENTRIES).replace(f'"{field}"', f'"{field}": 1, "{field}"', 1)
    path.write_text(twice)
    with pytest.raises(UserError, match=f'key "{field}" occurs twice'):
        read_predictions(path, truth)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('"size"', '"size": [1, 1], "size"', "size"),
        ('"counts"', '"counts": "1", "counts"', "counts"),
        ('"score"', '"x": 1, "x": 2, "score"', "x"),
    ],
)
def test_a_field_given_twice_elsewhere_is_refused(before, after, key, truth, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(ENTRIES).replace(before, after, 1))
    with pytest.raises(UserError, match=f'key "{key}" occurs twice'):
        read_predictions(path, truth)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 column 1: not valid JSON"),
        (json.dumps(ENTRIES).encode()[:-30], "not valid JSON"),
        (b"{}", "top level: expected a list of predictions, found dict"),
        (b"3", "top level: expected a list of predictions, found int"),
        (b"\xff[]", "not a text file"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1" + b"0" * 5000 + b"]", "more than 4300 digits"),
    ],
)
def test_files_that_are_no_results(content, message, truth, tmp_path):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_predictions(path, truth)


def test_a_byte_order_mark_and_white_space_are_passed_over(truth, tmp_path):
    path = tmp_path / "results.json"
    path.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(ENTRIES, indent=1).encode().replace(b"\n", b"\r\n")
    )
    assert read_predictions(path, truth) == read_predictions(GOLDEN / "eval_easy_dt.json", truth)


def test_the_quick_reader_reads_the_usual_file(truth, monkeypatch):
    """Otherwise the tests above would compare the careful reader with itself."""
    monkeypatch.setattr(predictions, "read_json", lambda path: pytest.fail("read with care"))
    assert len(read_predictions(GOLDEN / "eval_easy_dt.json", truth)) == len(ENTRIES)


def test_a_track_writes_the_entry_that_it_was_read_from(truth):
    found = read_predictions(GOLDEN / "eval_easy_dt.json", truth)
    assert json.loads(json.dumps([track.entry() for track in found])) == ENTRIES


def test_tracks_that_come_from_no_file_score_the_same(truth):
    read = read_predictions(GOLDEN / "eval_easy_dt.json", truth)
    made = [PredictedTrack(t.video_id, t.category_id, t.score, t.segmentations) for t in read]
    assert score_videos(truth, made).summary() == score_videos(truth, read).summary()
    assert [t.area for t in made] == [t.area for t in read]


def test_scoring_starts_without_what_it_does_not_need():
    """The start of Python is a third of the time of a usual file."""
    truth, found = GOLDEN / "eval_easy_gt.json", GOLDEN / "eval_easy_dt.json"
    program = (
        "import runpy, sys\n"
        f"sys.argv[1:] = ['evaluate', '--ground-truth={truth}', '--predictions={found}']\n"
        "try:\n    runpy.run_path('run_ablations.py', run_name='__main__')\n"
        "except SystemExit as end:\n    print(end.code)\n"
        f"print(sorted({HEAVY} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.splitlines()[-2:] == ["0", "[]"], done.stderr
