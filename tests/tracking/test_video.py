"""A model over a video: windows share the backbone, and offline is one window."""

import pytest
import torch

from ifc_bench.masks import tube_ious
from ifc_bench.models.build import build_model
from ifc_bench.tracking import ClipTracker, Tracking, track_in_one_pass, track_video, video
from tests.conftest import tiny_model


def finding_instances():
    """A network whose classes are spread, so that some queries are instances."""
    torch.manual_seed(0)
    model = build_model(tiny_model()).eval()
    with torch.no_grad():
        model.heads.classify.layers[-1].weight.mul_(5)
    return model


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


@pytest.mark.parametrize("decoded", [1, 12])
def test_ways_of_tracking_share_the_features_and_change_nothing(decoded):
    model = finding_instances()
    video = torch.randint(0, 256, (11, 3, 32, 48), dtype=torch.uint8)
    windows = ((4, 1), (2, 5), (None, 1), (9, 2), (20, 1))
    read: list[int] = []

    def reader(indices: list[int]) -> torch.Tensor:
        read.extend(indices)
        return video[indices]

    def ways(chosen):
        return [Tracking(ClipTracker((32, 48)), window, stride) for window, stride in chosen]

    together = track_in_one_pass(model, reader, 11, ways(windows), decoded=decoded)
    assert read == list(range(11)), "each frame is read once, for all ways"
    for window, found in zip(windows, together, strict=True):
        [alone] = track_in_one_pass(model, reader, 11, ways([window]), decoded=decoded)
        assert [t.segmentations for t in found] == [t.segmentations for t in alone]
        assert found
        for mine, other in zip(found, alone, strict=True):
            assert torch.equal(mine.class_probabilities, other.class_probabilities)


def test_windows_decoded_together_have_the_tracks_of_each_by_itself(monkeypatch):
    """Products of larger matrices are rounded elsewhere; nothing else differs."""
    model = finding_instances()
    frames = torch.randint(0, 256, (11, 3, 32, 48), dtype=torch.uint8)
    seen: list[int] = []
    decode = model.decode

    def counted(maps):
        seen.append(len(maps[0]))
        return decode(maps)

    monkeypatch.setattr(model, "decode", counted)

    def tracked(decoded: int, *chosen):
        ways = [Tracking(ClipTracker((32, 48)), window, stride) for window, stride in chosen]
        return track_in_one_pass(model, lambda i: frames[i], 11, ways, decoded=decoded)

    chosen = ((4, 1), (None, 1), (2, 5))
    one = tracked(1, *chosen)
    assert seen == [1] * 12
    seen.clear()
    several = tracked(13, *chosen)
    assert sorted(seen) == [1, 2, 3, 3, 3], "8 windows of 4 by three, 3 windows of 2 at once"
    for mine, other in zip(one, several, strict=True):
        assert len(mine) == len(other) > 0
        for a, b in zip(mine, other, strict=True):
            assert torch.allclose(a.class_probabilities, b.class_probabilities, atol=1e-6)
            overlap = tube_ious([a.segmentations], [b.segmentations]).item()
            assert overlap > 0.99 or not any(a.segmentations + b.segmentations)


def test_one_pass_keeps_no_frame_that_no_window_needs(monkeypatch):
    kept: list[int] = []
    decode = video._decode

    def watched(model, features, frames, tracker, watch):
        kept.append(len(features.of_frame))
        decode(model, features, frames, tracker, watch)

    monkeypatch.setattr(video, "_decode", watched)
    model = build_model(tiny_model()).eval()

    def tracked(length: int):
        ways = [Tracking(ClipTracker((32, 48)), window) for window in (2, 4)]
        return track_in_one_pass(model, lambda i: torch.zeros(len(i), 3, 32, 48), length, ways)

    tracked(30)
    assert max(kept) == 5, "four of the longest window, and one read ahead"
    assert tracked(0) == [[], []]
