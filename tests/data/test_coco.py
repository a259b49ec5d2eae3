"""COCO's images as videos of one frame; polygons become the masks that pycocotools draws."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifc_bench.config import Optimisation
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.coco import as_videos
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError
from ifc_bench.masks import decode

SQUARE = [[10.0, 5.0, 30.0, 5.0, 30.0, 15.0, 10.0, 15.0]]


@pytest.fixture
def folder(tmp_path):
    """Two images of different sizes: a polygon of two parts and a crowd; nothing in the second."""
    crowd = {"size": [20, 40], "counts": [0, 20, 780]}
    content = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 20, "width": 40},
            {"id": 9, "file_name": "b.jpg", "height": 30, "width": 30},
        ],
        "categories": [{"id": 3, "name": "car"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "segmentation": SQUARE, "area": 200.0},
            {"id": 2, "image_id": 7, "category_id": 3, "segmentation": crowd, "iscrowd": 1},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (tmp_path / "JPEGImages").mkdir()
    for image in content["images"]:
        size = (image["width"], image["height"])
        Image.new("RGB", size).save(tmp_path / "JPEGImages" / image["file_name"])
    return tmp_path


def edit(folder, change):
    path = folder / "instances.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_images_are_videos_of_one_frame(folder):
    found = read_instances(folder / "instances.json")
    assert [(v.id, v.length, v.file_names) for v in found.videos] == [
        (7, 1, ["a.jpg"]),
        (9, 1, ["b.jpg"]),
    ]
    mask = decode(found.annotations[0].rles[0])
    expected = np.zeros((20, 40), bool)
    expected[5:15, 10:30] = True
    assert (mask == expected).all()
    assert found.annotations[1].iscrowd == 1


def test_clips_of_images_of_any_size_make_a_batch(folder):
    data = VideoDataset(folder)
    schedule = Optimisation(iterations=1, clips=4, clip_frames=1, sizes=(16, 24), crop=(10, 20))
    batch = draw_batch(data, schedule, 0, 0)
    assert batch.clips.shape[:3] == (4, 1, 3)
    assert batch.valid_sizes is not None
    assert all(set(t.classes.tolist()) <= {1} for t in batch.targets), "no crowd is a target"


BROKEN = {
    "a polygon of two points": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]),
        "annotation 1: segmentation.0: has 4 numbers",
    ),
    "an odd polygon": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        "segmentation.0: has 7 numbers",
    ),
    "no polygon": (
        lambda c: c["annotations"][0].update(segmentation=[]),
        "segmentation: is empty",
    ),
    "an unknown image": (
        lambda c: c["annotations"][0].update(image_id=1),
        "image_id 1 is not among the images",
    ),
    "an unknown class": (
        lambda c: c["annotations"][0].update(category_id=5),
        "category_id 5 is not among the categories",
    ),
    "an image twice": (lambda c: c["images"].append(c["images"][0]), "id 7 occurs twice"),
    "an image without size": (lambda c: c["images"][0].pop("width"), "images.0.width"),
    "a crowd of another size": (
        lambda c: c["annotations"][1]["segmentation"].update(size=[2, 2]),
        "size is [2, 2]",
    ),
    "no images": (lambda c: c.update(images=[], annotations=[]), "images: is empty"),
    "no categories": (lambda c: c.update(categories=[], annotations=[]), "categories: is empty"),
    "two categories of one name": (lambda c: c["categories"][0].update(name="dog"), '"dog" occurs'),
    "an image that is too large": (
        lambda c: c["images"][0].update(height=65535, width=65535),
        "images.0: is 65535 x 65535 pixels",
    ),
    "a file name of NUL": (lambda c: c["images"][0].update(file_name="\0"), "images.0.file_name"),
    "an id that is true": (lambda c: c["images"][0].update(id=True), "images.0.id"),
    "an outline without end": (
        lambda c: c["annotations"][0].update(segmentation=[[0, 0, 40, 20] * 50_000]),
        "segmentation.0: has an outline of",
    ),
}
for _value in (1e9, -1e9, 1e19, 1e300, -1e300, 81.0, -41.0):
    BROKEN[f"a polygon that reaches to {_value}"] = (
        lambda c, value=_value: c["annotations"][0]["segmentation"][0].__setitem__(3, value),
        f"segmentation.0: reaches {_value:g}, far outside its image of 40 pixels",
    )
for _value in (float("nan"), float("inf"), float("-inf")):
    BROKEN[f"a polygon of {_value}"] = (
        lambda c, value=_value: c["annotations"][0]["segmentation"][0].__setitem__(0, value),
        "segmentation.0: has a number that is not finite",
    )
    BROKEN[f"an area of {_value}"] = (
        lambda c, value=_value: c["annotations"][0].update(area=value),
        "annotations.0.area",
    )
BROKEN["a negative area"] = (
    lambda c: c["annotations"][0].update(area=-1),
    "annotations.0.area",
)


def test_validation_names_every_fault(folder):
    def change(content):
        content["annotations"][0].update(segmentation=[[1, 2], [3, 4, 5]], image_id=8)

    path = edit(folder, change)
    found = list(data_faults(path, None))
    assert len(found) == 3
    assert all(f"{path}: annotation 1: " in fault for fault in found)


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_annotations_get_one_line(change, message, folder):
    path = edit(folder, change)
    with pytest.raises(UserError) as caught:
        read_instances(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))
    assert any(message in fault for fault in data_faults(path, None))


def test_a_polygon_that_leaves_the_image_is_cut_off_at_its_border(folder):
    outside = [[-20.0, 5.0, 30.0, 5.0, 30.0, 35.0, -20.0, 35.0]]
    path = edit(folder, lambda c: c["annotations"][0].update(segmentation=outside))
    expected = np.zeros((20, 40), bool)
    expected[5:, :30] = True
    assert (decode(read_instances(path).annotations[0].rles[0]) == expected).all()


def test_polygons_of_all_kinds_near_the_image_are_drawn():
    """What passes the check never ends the process, and gives runs that fill the image."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 50, 2))
        side = max(height, width)
        polygon = rng.uniform(-side, 2 * side, 2 * int(rng.integers(3, 30))).tolist()
        image = {"id": 1, "file_name": "a.jpg", "height": height, "width": width}
        content = {
            "images": [image],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [polygon]}],
        }
        [found] = as_videos(content, Path("x.json")).annotations
        assert decode(found.rles[0]).shape == (height, width)


def test_a_clip_of_several_frames_repeats_the_image_and_its_masks(folder):
    """For any preset of videos on images: T > 1 of an image of one frame."""
    data = VideoDataset(folder)
    batch = draw_batch(data, Optimisation(iterations=1, clips=2, clip_frames=3, flip=False), 0, 0)
    assert batch.clips.shape[:2] == (2, 3)
    [drawn] = [target.masks for target in batch.targets if len(target.classes)]
    assert drawn.shape[:2] == (1, 3)
    assert drawn[0, 0].any()
    assert (drawn[0, 1:] == drawn[0, 0]).all()
