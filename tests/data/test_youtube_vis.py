"""Broken data sets: one clear line each, naming file, entry, value and mend."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import _runs
from ifc_bench.errors import UserError
from ifc_bench.masks import compress, decode


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
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_annotations_get_one_line(change, message, edited):
    path = edited(change)
    with pytest.raises(UserError) as caught:
        read_instances(path)
    text = str(caught.value)
    assert str(path) in text
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"), [("{", "line 1 column 2"), ("[]", "top level"), ("", "not valid JSON")]
)
def test_files_that_are_no_annotations(content, message, tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_instances(path)


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
                    rle["counts"] = _runs(rle["counts"])

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
    decoded = _runs(rle["counts"])
    assert decoded is not None
    assert decoded == runs
