"""Broken data sets: one clear line each, naming file, entry, value and mend."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError
from ifc_bench.masks import compress, decode
from ifc_bench.models.tensor_file import read_tensors
from ifc_bench.run_lengths import run_lengths


def first_mask(content):
    return next(s for a in content["annotations"] for s in a["segmentations"] if s)


BROKEN = {
    "annotations are null": (lambda c: c.update(annotations=None), "annotations: null"),
    "no videos": (lambda c: c.pop("videos"), "videos: Field required"),
    "video without height": (lambda c: c["videos"][0].pop("height"), "videos.0.height"),
    "negative width": (lambda c: c["videos"][0].update(width=-3), "videos.0.width"),
    "length disagrees": (lambda c: c["videos"][0].update(length=99), "length says 99"),
    "a video twice": (lambda c: c["videos"].append(c["videos"][0]), "videos: id 1 occurs twice"),
    "a category twice": (lambda c: c["categories"].append(c["categories"][0]), "categories: id 1"),
    "annotation of no video": (lambda c: c["annotations"][0].update(video_id=77), "video_id 77"),
    "annotation of no class": (
        lambda c: c["annotations"][0].update(category_id=9),
        "category_id 9",
    ),
    "annotation id 0": (lambda c: c["annotations"][0].update(id=0), "annotations.0.id"),
    "a mask too few": (lambda c: c["annotations"][0]["segmentations"].pop(), "one RLE or null"),
    "an area too few": (lambda c: c["annotations"][0]["areas"].pop(), "areas has 11 entries"),
    "mask of another size": (lambda c: first_mask(c).update(size=[3, 4]), "size is [3, 4]"),
    "mask cut off": (lambda c: first_mask(c).update(counts="0"), "covers"),
    "mask of nonsense": (lambda c: first_mask(c).update(counts="\u00e9!"), "run-length text"),
    "mask that is empty": (lambda c: first_mask(c).update(counts=""), "run-length text"),
    "runs that are short": (lambda c: first_mask(c).update(counts=[1, 2]), "covers 3 pixels"),
    "negative runs": (lambda c: first_mask(c).update(counts=[-5, 1541]), "negative run (-5)"),
    "mask is a number": (lambda c: c["annotations"][0]["segmentations"].__setitem__(0, 3), "segm"),
    "half a surrogate pair as a mask": (lambda c: first_mask(c).update(counts="\ud800"), "text"),
    "runs that overflow": (lambda c: first_mask(c).update(counts=[2**32, 1536 - 2**32]), "negat"),
    "a run of 21 digits": (lambda c: first_mask(c).update(counts=[10**20]), "covers"),
    "an empty list of videos": (lambda c: c.update(videos=[], annotations=[]), "videos: is empty"),
    "an empty list of categories": (
        lambda c: c.update(categories=[], annotations=[]),
        "categories: is empty",
    ),
    "two categories of one name": (
        lambda c: c["categories"][0].update(name="box"),
        'categories: name "box" occurs twice',
    ),
    "a video that is a list": (lambda c: c["videos"].__setitem__(0, []), "videos.0"),
    "a size of 10**9": (lambda c: c["videos"][0].update(height=10**9, width=10**9), "65535"),
    "more pixels than can be read": (
        lambda c: c["videos"][0].update(height=65535, width=65535),
        "videos.0: is 65535 x 65535 pixels",
    ),
}
for _name, _value in (
    ("nan", float("nan")),
    ("infinite", float("inf")),
    ("negative", -1.0),
    ("true", True),
    ("text", "12"),
):
    BROKEN[f"an area that is {_name}"] = (
        lambda c, value=_value: c["annotations"][0]["areas"].__setitem__(0, value),
        "annotations.0.areas.0",
    )
BROKEN["an area that no frame has"] = (
    lambda c: c["annotations"][0]["areas"].__setitem__(0, 1e308),
    "annotations.0.areas.0",
)
for _value in (True, "1", 1.5, float("nan"), 10**400, None):
    for _field, _id in (("videos", "id"), ("categories", "id"), ("annotations", "video_id")):
        BROKEN[f"{_field} with {_id} {_value!r:.9}"] = (
            lambda c, f=_field, i=_id, value=_value: c[f][0].update({i: value}),
            f"{_field}.0.{_id}",
        )
for _name, _value in (
    ("NUL", "a\0b"),
    ("half a surrogate pair", "a\ud800"),
    ("escape", "a\x1b[31m"),
    ("two lines", "a\nb"),
    ("5,000 letters", "a" * 5000),
):
    BROKEN[f"a file name of {_name}"] = (
        lambda c, value=_value: c["videos"][0]["file_names"].__setitem__(0, value),
        "videos.0.file_names.0",
    )
    BROKEN[f"a situation of {_name}"] = (
        lambda c, value=_value: c["videos"][0].update(situation=value),
        "videos.0.situation",
    )
    BROKEN[f"a category of {_name}"] = (
        lambda c, value=_value: c["categories"][0].update(name=value),
        "categories.0.name",
    )
for _value in ("../../escaped", "/escaped", "..", ".", "a/b", "a\\b"):
    BROKEN[f"a situation {_value!r}"] = (
        lambda c, value=_value: c["videos"][0].update(situation=value),
        "is used as a directory name",
    )


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_annotations_get_one_line(change, message, edited):
    path = edited(change)
    with pytest.raises(UserError) as caught:
        read_instances(path)
    text = str(caught.value)
    assert str(path) in text
    assert message in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(path))


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - {"annotations are null"}))
def test_validation_finds_the_same(name, edited):
    change, message = BROKEN[name]
    path = edited(change)
    assert any(message in fault for fault in data_faults(path, None))


@pytest.mark.parametrize("situation", ["rain and snow", "Nacht", "a.b", "$x_$", ""])
def test_situations_that_are_plain_names_pass(situation, edited):
    path = edited(lambda c: c["videos"][0].update(situation=situation))
    assert read_instances(path).videos[0].situation == situation


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1 column 2"),
        ("[]", "top level: Input should be an object, found \\[\\]"),
        ("", "not valid JSON"),
        ("3", "top level"),
        ("null", "top level"),
        ('"text"', "top level"),
        ("{}", "videos: Field required"),
        (f'{{"videos": {"1" * 5000}}}', "a number of more than 4300 digits"),
        ('{"videos": [], "videos": []}', 'key "videos" occurs twice'),
        ('{"videos": [{"id": 1, "id": 2}]}', 'key "id" occurs twice'),
        (f'{{"{"k" * 5000}": 1, "{"k" * 5000}": 2}}', "kkk... occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"videos": {"[" * 800}{"]" * 800}}}', "videos.0: "),
    ],
)
def test_files_that_are_no_annotations(content, message, tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_instances(path)
    assert len(str(caught.value)) < 300 + len(str(path))
    assert list(data_faults(path, None))


@pytest.mark.parametrize("read", [read_instances, read_tensors])
def test_a_device_or_a_pipe_is_no_file(read, tmp_path):
    """Neither has an end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (Path("/dev/full"), pipe):
        with pytest.raises(UserError, match=f"{path}: is a device or a pipe; name a regular file"):
            read(path)


def test_a_byte_order_mark_is_passed_over(edited):
    path = edited(lambda c: None)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_instances(path).videos) == 5


def test_whole_numbers_may_be_written_as_decimals(edited):
    """JSON has one kind of number, and some writers put .0 after all of them."""
    path = edited(lambda c: c["videos"][0].update(id=1.0, height=32.0))
    assert read_instances(path).videos[0].id == 1


def test_binary_file(tmp_path):
    path = tmp_path / "instances.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_instances(path)


def test_missing_frame(copy_of_data):
    victim = next((copy_of_data / "JPEGImages").rglob("*.jpg"))
    victim.unlink()
    with pytest.raises(UserError, match="is missing; restore it") as caught:
        VideoDataset(copy_of_data)
    assert str(victim) in str(caught.value)


def test_unreadable_frame(copy_of_data):
    data = VideoDataset(copy_of_data)
    victim = copy_of_data / "JPEGImages" / data.videos[0].file_names[0]
    victim.write_bytes(b"no picture")
    with pytest.raises(UserError, match="not a readable image"):
        data.frames(data.videos[0], [0])


def test_frame_of_another_size(copy_of_data):
    from PIL import Image

    data = VideoDataset(copy_of_data)
    victim = copy_of_data / "JPEGImages" / data.videos[0].file_names[0]
    Image.new("RGB", (10, 20)).save(victim)
    with pytest.raises(UserError, match="is 20x10, the annotations say 32x48"):
        data.frames(data.videos[0], [0])


@pytest.mark.parametrize("name", ["../../escape.jpg", "/etc/hostname"])
def test_frames_outside_the_folder_are_refused(name, edited):
    path = edited(lambda c: c["videos"][0]["file_names"].__setitem__(0, name))
    with pytest.raises(UserError, match="leads out of"):
        VideoDataset(path.parent)


def test_uncompressed_runs_are_the_same_masks(edited):
    def uncompress(content):
        for annotation in content["annotations"]:
            for rle in annotation["segmentations"]:
                if rle:
                    rle["counts"] = run_lengths(rle["counts"])

    path = edited(uncompress)
    raw = json.loads(path.read_text())["annotations"][0]["segmentations"]
    assert any(isinstance(r["counts"], list) for r in raw if r)
    masks = [r for r in read_instances(path).annotations[0].rles if r is not None]
    assert all(decode(m).any() for m in masks)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.integers(1, 40))
def test_run_lengths_survive_cocos_text(runs, height):
    total = sum(runs)
    runs = [*runs, (-total) % height]
    rle = compress([height, max(1, (total + runs[-1]) // height)], runs)
    decoded = run_lengths(rle["counts"])
    assert decoded is not None
    assert decoded == runs
