"""A model over a video: windows share the backbone, and offline is one window."""

import torch

from ifc_bench.models.build import build_model
from ifc_bench.tracking import ClipTracker, track_video
from tests.conftest import tiny_model


def run(length: int, window: int | None, stride: int = 1):
    torch.manual_seed(0)
    model = build_model(tiny_model()).eval()
    video = torch.randint(0, 256, (length, 3, 32, 48), dtype=torch.uint8)
    read: list[int] = []

    def reader(indices: list[int]) -> torch.Tensor:
        read.extend(indices)
        return video[indices]

    with torch.no_grad():  # spread the classes, so that some queries are instances
        model.heads.classify.layers[-1].weight.mul_(5)
    tracks = track_video(model, reader, length, ClipTracker((32, 48)), window, stride)
    return tracks, read


def test_each_frame_passes_the_backbone_once():
    _, read = run(9, 4)
    assert read == list(range(9))


def test_frames_between_strides_are_all_seen():
    tracks, read = run(9, 4, stride=3)
    assert read == list(range(9))
    assert tracks
    assert all(len(t.segmentations) == 9 for t in tracks)


def test_offline_is_one_window_and_equals_a_window_of_the_length():
    offline, _ = run(6, None)
    online, _ = run(6, 6)
    assert len(offline) == len(online) > 0
    for a, b in zip(offline, online, strict=True):
        assert a.segmentations == b.segmentations


def test_a_short_video_is_one_window():
    tracks, _ = run(3, 5)
    assert all(len(t.segmentations) == 3 for t in tracks)


def test_frames_that_no_window_sees_have_no_mask():
    tracks, _ = run(9, 2, stride=5)
    assert tracks
    assert all(len(t.segmentations) == 9 for t in tracks)
    assert all(t.segmentations[2:5] == [None] * 3 for t in tracks)


def test_an_empty_video_has_no_tracks():
    assert run(0, 3)[0] == []
