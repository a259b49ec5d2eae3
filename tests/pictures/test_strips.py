"""What strips show: colours that stay, contours, names, and what is missing."""

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ifc_bench.errors import UserError
from ifc_bench.masks import encode
from ifc_bench.pictures.png import title_of
from ifc_bench.pictures.strips import (
    COLOURS,
    Instance,
    Source,
    animate,
    attention_strip,
    coloured_alike,
    free_place,
    save,
    strip,
)

SIZE = (32, 48)


def tube(*lefts):
    found = []
    for left in lefts:
        mask = np.zeros((1, *SIZE), bool)
        if left is not None:
            mask[0, 10:20, left : left + 10] = True
        found.append(None if left is None else encode(mask)[0])
    return found


def drawn():
    frames = np.zeros((2, *SIZE, 3), np.uint8)
    truth = Source("ground truth", [Instance(tube(2, 20), "disc"), Instance(tube(30, None), "box")])
    ours = Source("ours", [Instance(tube(2, 20), "disc", 0.876)])
    return strip(frames, [0, 1], [truth, ours], "video 1")


@pytest.fixture
def figure():
    return drawn()


def test_rows_are_sources_and_columns_are_frames(figure):
    assert [ax.get_ylabel() for ax in figure.axes] == ["ground truth", "", "ours", ""]
    assert [ax.get_title() for ax in figure.axes] == ["frame 0", "frame 1", "", ""]


def test_names_have_a_score_where_there_is_one(figure):
    told = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert told == [["disc", "box"], ["disc"], ["disc 0.88"], ["disc 0.88"]]


def test_a_track_keeps_its_colour(figure):
    pixels = [ax.images[0].get_array() for ax in figure.axes[:2]]
    assert np.allclose(pixels[0][15, 5], pixels[1][15, 25])
    assert np.allclose(pixels[0][15, 5], 0.45 * np.array(to_rgb(COLOURS[0])))
    assert np.allclose(pixels[0][15, 35], 0.45 * np.array(to_rgb(COLOURS[1])))
    assert np.allclose(pixels[0][0, 0], 0)
    assert len(figure.axes[0].collections) == 2, "a contour for each"


def overlap(one, other):
    across = min(one[2], other[2]) - max(one[0], other[0])
    return max(across, 0) * max(min(one[3], other[3]) - max(one[1], other[1]), 0)


def test_labels_of_instances_at_one_place_do_not_cover_each_other():
    mask = np.zeros((64, 96), bool)
    mask[20:40, 30:60] = True
    boxes = []
    for told in ("disc 0.91", "triangle 0.54", "box 0.33"):
        boxes.append(free_place(mask, told, boxes))
    for index, one in enumerate(boxes):
        assert 0 <= one[0] < one[2] <= 96
        assert 0 <= one[1] < one[3] <= 64
        assert all(overlap(one, other) == 0 for other in boxes[:index])


def test_a_label_at_the_upper_border_goes_below():
    mask = np.zeros((64, 96), bool)
    mask[0:20, 0:10] = True
    left, top, *_ = free_place(mask, "disc", [])
    assert left == 0
    assert top >= 20


NAMES = ["$x_$", "$\\frac{", "a" * 5000, "two\nlines", "物"]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are_written(name, tmp_path):
    frames = np.zeros((1, *SIZE, 3), np.uint8)
    sources = [Source(name, [Instance(tube(2), name, 0.9)])]
    figure = strip(frames, [0], sources, name[:60])
    save(figure, tmp_path / "strip.png")
    shown = figure.axes[0].texts[0].get_text()
    assert shown.startswith(name[:20])
    assert len(shown) < 60
    with Image.open(tmp_path / "strip.png") as picture:
        assert max(picture.size) < 1000
    animate(frames, sources, tmp_path / "strip.gif")


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 3000), (3000, 1)])
def test_frames_of_any_shape_are_drawn(size, tmp_path):
    frames = np.zeros((1, *size, 3), np.uint8)
    sources = [Source("truth", [Instance(encode(np.ones((1, *size), bool)), "disc")])]
    save(strip(frames, [0], sources), tmp_path / "strip.png")
    animate(frames, sources, tmp_path / "strip.gif")
    with Image.open(tmp_path / "strip.png") as picture:
        assert max(picture.size) < 2500
    save(attention_strip(frames, [0], [("token 0", np.ones((1, 1, 1)))]), tmp_path / "a.png")


def test_a_strip_that_is_too_large_is_refused():
    frames = np.zeros((400, *SIZE, 3), np.uint8)
    with pytest.raises(UserError, match="a strip of 1 rows and 400 frames is too large"):
        strip(frames, list(range(400)), [Source("truth", [])])


@contextmanager
def full_disk(room: int):
    """Files of this process end after `room` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_with_the_file_and_leaves_nothing(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    figure = drawn()
    path = tmp_path / "strip.png"
    with full_disk(1000), pytest.raises(OSError, match="too large") as caught:
        save(figure, path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    path = tmp_path / "strip.gif"
    with full_disk(1000), pytest.raises(OSError, match="too large") as caught:
        animate(frames, [Source("truth", [])], path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert not list(tmp_path.iterdir())


def test_a_saved_picture_holds_its_title(tmp_path):
    save(drawn(), tmp_path / "a" / "strip.png")
    save(drawn(), tmp_path / "again.png")
    assert title_of(tmp_path / "a" / "strip.png") == "video 1"
    assert (tmp_path / "a" / "strip.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with Image.open(tmp_path / "again.png") as picture:
        assert picture.size[0] > 400


def test_attention_is_drawn_under_the_clip_on_one_scale():
    frames = np.full((2, *SIZE, 3), 90, np.uint8)
    maps = np.zeros((2, 4, 6))
    maps[0, 1, 1], maps[1, 2, 3] = 0.5, 0.25
    figure = attention_strip(frames, [4, 5], [("token 1: 60%", maps), ("token 0: 9%", maps / 2)])
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "clip",
        "",
        "token 1: 60%",
        "",
        "token 0: 9%",
        "",
    ]
    scales = [ax.images[1].get_clim() for ax in figure.axes[2:]]
    assert scales == [(0.0, 0.5), (0.0, 0.5), (0.0, 0.25), (0.0, 0.25)]


def test_what_is_found_has_the_colour_of_the_truth_that_it_covers():
    truth = [Instance(tube(2, 20), "disc"), Instance(tube(30, None), "box")]
    found = [
        Instance(tube(30, None), "box", 0.9),
        Instance(tube(30, None), "box", 0.8),
        Instance(tube(3, 21), "disc", 0.7),
    ]
    assert [one.colour for one in coloured_alike(found, truth)] == [1, 2, 0]
    assert [one.colour for one in coloured_alike(found, [])] == [0, 1, 2]
    assert coloured_alike([], truth) == []


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off"])
def test_a_picture_that_is_none_is_one_line(content, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable PNG"):
        title_of(path)
