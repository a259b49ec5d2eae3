"""What of a track is written: every class over the threshold, each mask once, null where none."""

import json

import numpy as np
import pytest
import torch

from ifc_bench.masks import encode
from ifc_bench.structures import Track
from ifc_bench.sweep.predict import Predictions, results_json, scored


@pytest.fixture
def track() -> Track:
    mask = encode(np.eye(4, dtype=bool)[None])[0]
    return Track(torch.tensor([0.5, 0.005, 0.2, 0.295]), [mask, None, mask])


def test_every_class_over_the_threshold_is_an_entry(track):
    found = scored([track], 7, [10, 20, 30], 0.01)
    assert [(f.video_id, f.category_id) for f in found] == [(7, 10), (7, 30)]
    assert [f.score for f in found] == pytest.approx([0.5, 0.2])
    assert found[0].segmentations is found[1].segmentations, "masks are encoded once for a track"


def test_an_image_gets_the_best_class_alone(track):
    found = scored([track], 7, [10, 20, 30], 0.01, best_class=True)
    assert [f.category_id for f in found] == [10]


def test_frames_without_a_mask_are_null(track):
    text = results_json(Predictions(scored([track], 7, [10, 20, 30], 0.01), 1, 0.0))
    entries = json.loads(text)
    assert [s is None for s in entries[0]["segmentations"]] == [False, True, False]
    assert entries[0]["segmentations"][0] == track.segmentations[0]


def test_another_number_of_classes_is_a_fault_of_ours(track):
    with pytest.raises(ValueError, match="zip"):
        scored([track], 7, [10, 20], 0.01)
