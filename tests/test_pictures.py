"""What strips show: colours that stay, contours, names, and what is missing."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ifc_bench.masks import encode
from ifc_bench.pictures import COLOURS, Instance, Source, strip

SIZE = (32, 48)


def tube(*lefts):
    found = []
    for left in lefts:
        mask = np.zeros((1, *SIZE), bool)
        if left is not None:
            mask[0, 10:20, left : left + 10] = True
        found.append(None if left is None else encode(mask)[0])
    return found


@pytest.fixture
def figure():
    frames = np.zeros((2, *SIZE, 3), np.uint8)
    truth = Source("ground truth", [Instance(tube(2, 20), "disc"), Instance(tube(30, None), "box")])
    ours = Source("ours", [Instance(tube(2, 20), "disc", 0.876)])
    return strip(frames, [0, 1], [truth, ours], "video 1")


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
