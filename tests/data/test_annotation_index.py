"""Large annotation files: a fast reader and an index, which give what the slow reader gives."""

import json
import pickle
import re
from dataclasses import asdict

import numpy as np
import pytest
from pycocotools import mask as coco

from ifc_bench.data import catalogue
from ifc_bench.data.annotation_index import IndexedInstances, read_index, write_index
from ifc_bench.data.annotations import all_faults, read_each, read_instances
from ifc_bench.data.catalogue import adopt
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.sound_files import UnsoundError, open_sound
from ifc_bench.errors import UserError
from ifc_bench.masks import encode
from ifc_bench.store import Store

SIZES = [(30, 40), (40, 30), (20, 20)]


def video_file() -> dict:
    """Three videos of three sizes; annotations in any order, as text and as lists of runs."""
    rng = np.random.default_rng(0)
    videos, annotations = [], []
    for number, (height, width) in enumerate(SIZES, 5):
        names = [f"{number}/{frame}.jpg" for frame in range(4)]
        videos.append(
            {"id": number, "height": height, "width": width, "length": 4, "file_names": names}
        )
    for number in range(1, 12):
        video = videos[number % 5 % 3]
        tube = rng.random((4, video["height"], video["width"])) < 0.4
        masks: list = [dict(rle) for rle in encode(tube)]
        if number % 3 == 0:
            masks = [{**rle, "counts": runs(mask)} for rle, mask in zip(masks, tube, strict=True)]
        masks[number % 4] = None
        annotations.append(
            {
                "id": number,
                "video_id": video["id"],
                "category_id": int(rng.integers(1, 3)),
                "iscrowd": int(number == 4),
                "segmentations": masks,
                "areas": [None if rle is None else 7 for rle in masks],
                "occlusion": ["no_occlusion"] * 4,
            }
        )
    classes = [{"id": 2, "name": "dög"}, {"id": 1, "name": "cat"}]
    return {"info": {}, "videos": videos, "categories": classes, "annotations": annotations}


def image_file() -> dict:
    """Two images: polygons, a crowd as a list of runs, a mask as text, an image of nothing."""
    text = dict(encode(np.ones((1, 20, 40), bool))[0])
    square = [[10.0, 5, 30.5, 5.0, 30.5, 15.0, 10.0, 15.0]]
    shared = {"image_id": 7, "category_id": 3}
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 20, "width": 40},
            {"id": 9, "file_name": "b.jpg", "height": 30, "width": 30},
        ],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [
            {"id": 4, **shared, "segmentation": square, "area": 205.0},
            {
                "id": 2,
                **shared,
                "segmentation": {"size": [20, 40], "counts": [0, 20, 780]},
                "iscrowd": 1,
            },
            {"id": 3, **shared, "segmentation": text},
        ],
    }


def runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate(([False], mask.ravel(order="F"), [not mask.ravel(order="F")[-1]]))
    return np.diff(np.flatnonzero(np.diff(flat)), prepend=0, append=[]).astype(int).tolist()


def written(content: dict, path) -> None:
    path.write_text(json.dumps(content))


@pytest.fixture(params=[video_file, image_file], ids=["youtube-vis", "coco"])
def path(request, tmp_path):
    found = tmp_path / "instances.json"
    written(request.param(), found)
    return found


def test_runs_are_as_the_format_has_them():
    mask = np.zeros((3, 3), bool)
    mask[1, 0] = mask[2, 2] = True
    assert runs(mask) == [1, 1, 6, 1]
    full = coco.frPyObjects({"size": [3, 3], "counts": runs(mask)}, 3, 3)
    assert (coco.decode(full) == mask).all()


def test_both_readers_and_the_index_give_the_same(path, tmp_path):
    index = tmp_path / "a.index"
    assert write_index(path, index) is not None
    slow, fast, indexed = read_each(path), read_instances(path), IndexedInstances(path, index)
    open_sound(path)  # so `fast` came from there
    for other in (fast, indexed, pickle.loads(pickle.dumps(indexed))):
        assert list(other.videos) == list(slow.videos)
        assert other.categories == slow.categories
        assert [asdict(a) for a in other.annotations] == [asdict(a) for a in slow.annotations]
        assert [a.rles for a in other.annotations] == [a.rles for a in slow.annotations]
        assert (other.sizes == slow.sizes).all()
        for row in range(len(slow.videos)):
            assert other.of_video(row) == slow.of_video(row)
    assert list(all_faults(path)) == []


def test_entries_are_taken_one_by_one_from_either_end(path, tmp_path):
    write_index(path, tmp_path / "a.index")
    slow, indexed = read_each(path), IndexedInstances(path, tmp_path / "a.index")
    assert indexed.annotations[-1] == slow.annotations[-1]
    assert indexed.annotations[1:3] == slow.annotations[1:3]
    with pytest.raises(IndexError):
        indexed.videos[len(slow.videos)]


UNSOUND = {
    "a key twice": lambda text: text.replace('"iscrowd": 0', '"video_id": 5, "iscrowd": 0', 1),
    "a mask cut off": lambda text: re.sub(r'("counts": "[^"]+)."', r'\1"', text, count=1),
    "a negative run": lambda text: text.replace('"counts": [', '"counts": [-1, 1, ', 1),
    "an id twice": lambda text: text.replace('"id": 7, "video_id"', '"id": 8, "video_id"', 1),
    "another video": lambda text: text.replace('"video_id": 5', '"video_id": 55', 1),
    "another class": lambda text: text.replace('"category_id": 1', '"category_id": 9', 1),
    "another size": lambda text: text.replace('{"size": [30, 40]', '{"size": [40, 30]', 1),
    "a number as text": lambda text: text.replace('"video_id": 5', '"video_id": "5"', 1),
    "an area below zero": lambda text: text.replace("[7,", "[-7,", 1),
    "no areas": lambda text: re.sub(r'"areas": \[[^]]*\]', '"areas": []', text, count=1),
    "another key twice": lambda text: text.replace('"iscrowd": 0', '"iscrowd": 1, "iscrowd": 0', 1),
    "a key in other letters": lambda text: text.replace(
        '"iscrowd": 0', '"\\u0069scrowd": 1, "iscrowd": 0', 1
    ),
    "a frame too many": lambda text: text.replace('ations": [{', 'ations": [null, {', 1),
    "a length": lambda text: text.replace('"length": 4', '"length": 5', 1),
    "cut off": lambda text: text[:-30],
    "two lists": lambda text: text.replace('{"info"', '{"annotations": [], "info"'),
    "a name": lambda text: text.replace('"cat"', '"c\\u0007t"'),
    "an id of zero": lambda text: text.replace('"id": 7, "video_id"', '"id": 0, "video_id"', 1),
    "an id beyond 64 bits": lambda text: text.replace('"id": 7, "v', f'"id": {2**63}, "v', 1),
}  # fmt: skip


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND.keys())
def test_every_fault_is_left_to_the_reader_that_names_it(change, tmp_path):
    path, index = tmp_path / "instances.json", tmp_path / "a.index"
    text = json.dumps(video_file())
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(UnsoundError):
        list(open_sound(path).chunks())
    assert write_index(path, index) is None
    assert not index.exists()
    with pytest.raises(UserError, match=r"instances\.json"):
        read_instances(path)


OUTLINES = {
    "far away": [[10.0, 5.0, 30.0, 5.0, 3000.0, 15.0]],
    "two corners": [[10.0, 5.0, 30.0, 5.0]],
    "none": [],
    "odd": [[10.0, 5.0, 30.0, 5.0, 30.0, 15.0, 10.0]],
}


@pytest.mark.parametrize("polygons", OUTLINES.values(), ids=OUTLINES.keys())
def test_polygons_that_cannot_be_drawn_are_refused(polygons, tmp_path):
    content = image_file()
    content["annotations"][0]["segmentation"] = polygons
    written(content, tmp_path / "a.json")
    assert write_index(tmp_path / "a.json", tmp_path / "a.index") is None
    with pytest.raises(UserError, match=r"annotation 4: segmentation"):
        read_instances(tmp_path / "a.json")


def test_an_unusual_file_without_a_fault_is_read_without_an_index(tmp_path):
    text = json.dumps(video_file()).replace('"iscrowd": 1', '"iscrowd": 1.0')
    (tmp_path / "a.json").write_text(text)
    assert write_index(tmp_path / "a.json", tmp_path / "a.index") is None
    assert [a.iscrowd for a in read_instances(tmp_path / "a.json").annotations][3] == 1


def test_a_file_that_changed_since_is_refused(path, tmp_path):
    index = tmp_path / "a.index"
    write_index(path, index)
    found = IndexedInstances(path, index)
    text = path.read_text()
    path.write_text(text[: len(text) // 3])  # in place: reading beyond it would end the process
    with pytest.raises(UserError, match=r"changed since it was checked; give the command"):
        found.annotations[0]
    path.write_text(text + " ")
    with pytest.raises(UserError, match=r"changed since it was checked; give the command"):
        IndexedInstances(path, index)
    index.write_bytes(index.read_bytes()[:-20])
    assert read_index(index) is None
    index.write_bytes(b"")
    assert read_index(index) is None


def test_a_registered_set_is_checked_and_split_once(data_folder, tmp_path, monkeypatch):
    """Without public validation annotations: the second time nothing is read but the hashes."""
    root, store = tmp_path / "own", Store(tmp_path / "r", tmp_path / "x")
    root.mkdir()
    (root / "train").symlink_to(data_folder / "train")
    first = adopt(root, "folder", store)
    for name in ("split_videos", "write_index", "read_json"):
        monkeypatch.setattr(catalogue, name, lambda *given, name=name: pytest.fail(name))
    assert adopt(root, "folder", store) == first
    data = VideoDataset(store.data_path(first.data) / "train")
    assert isinstance(data.instances, IndexedInstances)
