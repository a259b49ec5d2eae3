"""Layouts, splits, DAVIS and validation, through the functions and the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifc_bench.config import FolderData
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.catalogue import adopt, find
from ifc_bench.data.hold_out import split_videos
from ifc_bench.data.layouts import LAYOUTS
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError
from ifc_bench.masks import decode
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli

CASES = [
    (name, listing, images, word)
    for name, layouts in LAYOUTS.items()
    for listing, images in layouts
    for word in ("valid", "val")
]


def lay_out(root: Path, source: Path, listing: str, images: str, word: str) -> None:
    """Copy both splits of the tiny data into one of the layouts in use."""
    for split, name in (("train", "train"), ("valid", word)):
        annotations, folder = root / listing.format(name), root / images.format(name)
        annotations.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / split / "instances.json", annotations)
        shutil.copytree(source / split / "JPEGImages", folder, dirs_exist_ok=True)


@pytest.mark.parametrize(("name", "listing", "images", "word"), CASES)
def test_every_layout_is_found_and_adopted(name, listing, images, word, data_folder, tmp_path):
    root = tmp_path / "root"
    lay_out(root, data_folder, listing, images, word)
    found = find(root, name)
    assert set(found) == {"train", "valid"}
    store = Store(tmp_path / "results", tmp_path / "runs")
    adopted = adopt(root, name, store)
    assert (adopted.classes, adopted.train.frames, adopted.data.name) == (3, 5 * 12, name)
    videos = VideoDataset(store.data_path(adopted.data) / "valid")
    assert videos.frames(videos.videos[0], [0]).shape == (1, 3, 32, 48)


def test_a_set_is_found_in_the_folder_that_holds_all_sets(data_folder, tmp_path):
    lay_out(tmp_path / "ytvis_2019", data_folder, "{}.json", "{}/JPEGImages", "valid")
    assert find(tmp_path, "youtube-vis-2019")["train"].annotations.name == "train.json"
    with pytest.raises(UserError, match=r"has no ovis: expected one of annotations_train\.json"):
        find(tmp_path, "ovis")


@pytest.mark.parametrize("hidden", ["null", "absent", "no file"])
def test_without_public_validation_annotations_videos_are_held_out(hidden, data_folder, tmp_path):
    root = tmp_path / "root"
    lay_out(root, data_folder, "{}.json", "{}/JPEGImages", "valid")
    path = root / "valid.json"
    content = json.loads(path.read_text())
    if hidden == "null":
        content["annotations"] = None
    else:
        del content["annotations"]
    path.unlink() if hidden == "no file" else path.write_text(json.dumps(content))
    store = Store(tmp_path / "results", tmp_path / "runs")
    adopted = adopt(root, "youtube-vis-2021", store)
    assert adopted.data.name == "youtube-vis-2021-held-out"
    splits = [VideoDataset(store.data_path(adopted.data) / s) for s in ("train", "valid")]
    ids = [{video.id for video in split.videos} for split in splits]
    assert ids[0] | ids[1] == {1, 2, 3, 4, 5}
    assert not ids[0] & ids[1]
    assert adopt(root, "youtube-vis-2021", store).data == adopted.data


def test_one_folder_without_splits_serves_as_both(data_folder, tmp_path):
    store = Store(tmp_path / "results", tmp_path / "runs")
    data = adopt(data_folder / "train", "folder", store).data
    assert isinstance(data, FolderData)
    assert data.train == data.valid


def many_videos(counts: list[dict[int, int]]) -> dict:
    """Annotations without masks: each video's instances by class."""
    annotations = []
    for video, classes in enumerate(counts, 1):
        for category, number in classes.items():
            annotations += [{"video_id": video, "category_id": category}] * number
    return {
        "videos": [
            {"id": i, "height": 4, "width": 4, "length": 1, "file_names": [f"{i}.jpg"]}
            for i in range(1, len(counts) + 1)
        ],
        "categories": [{"id": c, "name": str(c)} for c in (1, 2, 3)],
        "annotations": [
            {"id": i, "segmentations": [None], **a} for i, a in enumerate(annotations, 1)
        ],
    }


def test_splits_are_seeded_whole_and_by_class(tmp_path):
    rng = np.random.default_rng(0)
    counts = [{1: 2, 2: int(i % 4 == 0), 3: int(i % 20 == 0)} for i in range(100)]
    rng.shuffle(counts)
    path = tmp_path / "train.json"
    path.write_text(json.dumps(many_videos(counts)))
    first, again = split_videos(path, 0.2, 0), split_videos(path, 0.2, 0)
    assert first == again
    assert split_videos(path, 0.2, 1) != first
    parts = {name: json.loads(text) for name, text in first.items()}
    ids = {name: {v["id"] for v in part["videos"]} for name, part in parts.items()}
    assert len(ids["valid"]) == 20
    assert not ids["train"] & ids["valid"]
    for part, videos in ids.items():
        assert {a["video_id"] for a in parts[part]["annotations"]} <= videos
    held = [a["category_id"] for a in parts["valid"]["annotations"]]
    assert held.count(3) == 1  # a fifth of five
    assert held.count(2) in (5, 6)  # a fifth of 25
    assert held.count(1) == 40


@pytest.mark.parametrize("share", [0.0, 1.0, 0.99])
def test_shares_that_leave_a_part_empty_are_refused(share, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(many_videos([{1: 1}] * 4)))
    with pytest.raises(UserError, match="--share"):
        split_videos(path, share, 0)


def davis(root: Path) -> Path:
    """A DAVIS folder with one video of three frames, two instances and the void colour."""
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("goat\n")
    frames, masks = (root / part / "480p" / "goat" for part in ("JPEGImages", "Annotations"))
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for frame in range(3):
        Image.new("RGB", (20, 10)).save(frames / f"{frame:05d}.jpg")
        index = np.zeros((10, 20), np.uint8)
        index[2:5, 3:8] = 1
        if frame:
            index[6:9, 10:18] = 2
        index[0, 0] = 255
        image = Image.fromarray(index).convert("P")
        image.putdata(index.ravel().tolist())
        image.save(masks / f"{frame:05d}.png")
    return root


LISTING = "ImageSets/2017/val.txt"
MASK, FRAME = "Annotations/480p/goat/00001.png", "JPEGImages/480p/goat/00001.jpg"


def grow(*places: Path) -> None:
    """Give images, or all images of a folder, another size."""
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*.png")):
            Image.new("L", (40, 40)).save(path)


def large(path: Path) -> None:
    """A mask of 256 million pixels in a few bytes."""
    Image.new("1", (16_000, 16_000)).save(path)


def taken(out: Path) -> None:
    (out / "JPEGImages").mkdir(parents=True)


def test_davis_becomes_a_set_with_one_class(tmp_path):
    out = tmp_path / "out"
    done = run_cli("data", "convert-davis", str(davis(tmp_path / "d")), f"--out={out}")
    assert done.returncode == 0, done.stderr
    found = read_instances(out / "instances.json")
    assert [c.name for c in found.categories] == ["object"]
    first, second = found.annotations
    assert decode(first.rles[0]).sum() == 15
    assert second.rles[0] is None
    assert decode(second.rles[1]).sum() == 24
    data = VideoDataset(out)
    assert data.sample(0, [0, 2]).masks.shape == (2, 2, 10, 20)
    assert run_cli("data", "validate", str(out)).returncode == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "ImageSets/2017/val.txt").unlink(), "val.txt: no such file"),
        (lambda r: (r / "Annotations/480p/goat/00001.png").unlink(), "no such mask"),
        (
            lambda r: Image.new("RGB", (20, 10)).save(r / "Annotations/480p/goat/00001.png"),
            "is a RGB image, expected an indexed one",
        ),
        (
            lambda r: (r / "Annotations/480p/goat/00001.png").write_bytes(b"x"),
            "not a readable image",
        ),
        (lambda r: shutil.rmtree(r / "JPEGImages/480p/goat"), "has no frames"),
        (lambda r: (r / LISTING).write_bytes(b"\xff\xfe"), "val.txt: not a text file"),
        (lambda r: (r / LISTING).write_text(" \n"), "val.txt: lists no video"),
        (lambda r: (r / LISTING).write_text("goat goat"), '"goat" is listed twice'),
        (lambda r: (r / LISTING).write_text("../goat"), '"../goat" is not the name of'),
        (lambda r: (r / LISTING).write_text(".."), '".." is not the name of'),
        (lambda r: (r / LISTING).write_text("a\0"), '"a\\u0000" is not the name of'),
        (lambda r: (r / LISTING).write_text("a" * 5000), "aaa... is not the name of"),
        (lambda r: Image.new("L", (10, 10)).save(r / MASK), "00001.png: is 10x10, but its frame"),
        (lambda r: grow(r / "Annotations"), "00000.png: is 40x40, but its frame"),
        (lambda r: grow(r / MASK, r / FRAME), "00001.jpg: is 40x40, "),
        (lambda r: large(r / MASK), "00001.png: not a readable image"),
        (lambda r: (r / FRAME).write_bytes(b"x"), "00001.jpg: not a readable image"),
        (lambda r: Image.new("L", (20, 10)).save(r / MASK, format="BMP"), "readable image of PNG"),
        (lambda r: (r / MASK).write_bytes((r / MASK).read_bytes()[:60]), "not a readable image"),
        (lambda r: taken(r.parent / "out"), "JPEGImages: already exists, with other frames"),
    ],
)
def test_a_broken_davis_folder_is_one_line_and_nothing_is_written(damage, message, tmp_path):
    root = davis(tmp_path / "d")
    damage(root)
    out = tmp_path / "out"
    line = one_line_error(run_cli("data", "convert-davis", root, f"--out={out}"))
    assert message in line
    assert not (out / "instances.json").exists()


def test_validation_names_all_faults(copy_of_data):
    path = copy_of_data / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentations"].pop()
    content["annotations"][1]["category_id"] = 99
    content["videos"][2]["file_names"].pop()
    path.write_text(json.dumps(content))
    found = list(data_faults(path, copy_of_data / "JPEGImages"))
    assert len(found) >= 3
    text = "\n".join(found)
    for part in (
        "annotation 1: segmentations has 11",
        "category_id 99",
        "video 3: file_names has 11",
    ):
        assert part in text
    assert all(str(path) in fault for fault in found)


def test_validation_opens_every_frame(copy_of_data):
    frames = sorted((copy_of_data / "JPEGImages").rglob("*.jpg"))
    frames[0].unlink()
    frames[1].write_bytes(b"x")
    Image.new("RGB", (5, 5)).save(frames[2])
    path = copy_of_data / "instances.json"
    found = list(data_faults(path, copy_of_data / "JPEGImages"))
    assert len(found) == 3
    for fault, part in zip(found, ("is missing", "not a readable", "is 5x5"), strict=True):
        assert part in fault
    assert not list(data_faults(path, None))
    done = run_cli("data", "validate", str(copy_of_data))
    assert "3 faults" in one_line_error(done)
    assert len(done.stdout.splitlines()) == 3


def test_a_schema_with_many_faults_tells_them_all(copy_of_data):
    path = copy_of_data / "instances.json"
    content = json.loads(path.read_text())
    for video in content["videos"][:3]:
        del video["height"]
    path.write_text(json.dumps(content))
    assert len(list(data_faults(path, None))) == 3


def test_a_split_is_written_whole_or_not_at_all(data_folder, tmp_path):
    (tmp_path / "valid.json").write_text("mine")
    train = data_folder / "train" / "instances.json"
    line = one_line_error(run_cli("data", "split", train, f"--out={tmp_path}", "--share=0.4"))
    assert f"{tmp_path / 'valid.json'}: already exists" in line
    assert [path.name for path in tmp_path.iterdir()] == ["valid.json"]


def renamed(content):
    names = [category["name"] for category in content["categories"]]
    for category, name in zip(content["categories"], names[1:] + names[:1], strict=True):
        category["name"] = name


def renumbered(content):
    for category in content["categories"]:
        category["id"] += 1
    for annotation in content["annotations"]:
        annotation["category_id"] += 1


def narrowed(content):
    content["categories"].pop()
    kept = {category["id"] for category in content["categories"]}
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] in kept]


UNLIKE = {
    "names in another order": (renamed, 'id 1 is "box", in {} it is "disc"'),
    "other ids": (renumbered, 'id 1 is missing, in {} it is "disc"'),
    "one fewer": (narrowed, 'id 3 is missing, in {} it is "triangle"'),
    "one more": (
        lambda c: c["categories"].append({"id": 4, "name": "star"}),
        'id 4 is "star", in {} it is missing',
    ),
    "none": (lambda c: c.update(categories=[], annotations=[]), "categories: List should have"),
    "no videos": (lambda c: c.update(videos=[], annotations=[]), "videos: List should have"),
    "a list": (lambda c: "[]", "top level"),
    "a video without frames": (lambda c: c["videos"][0].pop("file_names"), "videos.0.file_names"),
}


@pytest.mark.parametrize(("change", "message"), UNLIKE.values(), ids=UNLIKE.keys())
def test_splits_of_other_categories_or_none_are_refused(change, message, data_folder, tmp_path):
    root = Path(shutil.copytree(data_folder, tmp_path / "root"))
    path, train = root / "valid" / "instances.json", root / "train" / "instances.json"
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(changed if isinstance(changed, str) else json.dumps(content))
    given = ["table3d", "--preset=smoke", f"--data={root}", f"--results={tmp_path / 'r'}"]
    line = one_line_error(run_cli("plan", *given, f"--runs={tmp_path / 'x'}"))
    assert f"{path}: " in line
    assert message.format(train) in line


@pytest.mark.parametrize("split", ["train", "valid"])
def test_the_order_of_categories_does_not_matter(split, data_folder, tmp_path):
    root = Path(shutil.copytree(data_folder, tmp_path / "root"))
    path = root / split / "instances.json"
    content = json.loads(path.read_text())
    content["categories"].reverse()
    path.write_text(json.dumps(content))
    store = Store(tmp_path / "results", tmp_path / "runs")
    assert adopt(root, "folder", store).classes == 3


@pytest.mark.parametrize(
    "option", ["--train=10000000000", "--valid=0", "--video-length=1000000000"]
)
def test_numbers_of_videos_and_frames_have_bounds(option, tmp_path):
    line = one_line_error(run_cli("data", "synthesize", tmp_path / "new", option))
    assert option.partition("=")[0] in line
    assert not list(tmp_path.iterdir())


def test_data_commands_on_small_data(tmp_path):
    made = tmp_path / "made"
    done = run_cli("data", "synthesize", str(made), "--train=3", "--valid=2", "--video-length=4")
    assert done.returncode == 0, done.stderr
    assert run_cli("data", "validate", str(made / "train")).returncode == 0
    split = run_cli(
        "data", "split", str(made / "train" / "instances.json"), f"--out={tmp_path / 's'}",
        "--share=0.4",
    )  # fmt: skip
    assert split.returncode == 0, split.stderr
    assert len(read_instances(tmp_path / "s" / "valid.json").videos) == 1
    again = run_cli("data", "synthesize", str(made))
    assert "already exists" in one_line_error(again)
    missing = run_cli("data", "validate", str(tmp_path / "none.json"), "--annotations-only")
    assert "no such file" in missing.stdout
    assert "1 fault" in one_line_error(missing)
