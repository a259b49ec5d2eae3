"""Recorded tracks: the same for every network, of real sizes and run lengths, for any video."""

import json

import numpy as np
import pytest
import torch

from ifc_bench.config import (
    DecompTHW,
    FullTHW,
    InterFrame,
    NoComm,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
)
from ifc_bench.masks import decode
from ifc_bench.measuring.ends import MeasuredTracker, ToMasks, ToResults
from ifc_bench.measuring.equal_work import RecordedInstances
from ifc_bench.measuring.speed import fingerprint
from ifc_bench.measuring.subject import make_subject
from ifc_bench.store import Store
from tests.conftest import ROOT, tiny_model

TRACKS = ROOT / "results" / "baseline" / "pictures" / "tracks"


def work(communication, **changes: object) -> Profile:
    made = Profile(
        weights=RandomWeights(model=tiny_model(communication), instances=3),
        footage=NoiseFrames(frames=8, height=32, width=48),
        window=3,
        device="cpu",
        protocol=Protocol(),
    )
    return made.model_copy(update=changes)


def content(profile: Profile, tmp_path) -> str:
    return fingerprint(make_subject(profile, Store(tmp_path / "results", tmp_path / "runs"), "cpu"))


def test_tracker_and_output_are_given_the_same_whatever_the_network_is(tmp_path):
    found = {
        content(work(kind), tmp_path)
        for kind in (NoComm(), FullTHW(), DecompTHW(), InterFrame(), InterFrame(memory_tokens=1))
    }
    assert len(found) == 1


@pytest.mark.parametrize("changes", [{"window": 4}, {"stride": 2}])
def test_other_work_has_another_fingerprint(changes, tmp_path):
    assert content(work(NoComm()), tmp_path) != content(work(NoComm(), **changes), tmp_path)


def test_networks_differed_before(tmp_path):
    """Without recorded tracks two networks give tracker and output other work."""
    old = {"protocol": Protocol(edition=1)}
    kinds = (NoComm(), FullTHW())
    assert len({content(work(kind, **old), tmp_path) for kind in kinds}) == 2


def recorded_tracks():
    """Masks of the committed files that the recorded tracks come from, [24, 64, 96] each."""
    found = []
    for name in ("T20/ifc.json", "T5/decomposed.json"):
        for entry in json.loads((TRACKS / name).read_text(encoding="utf-8")):
            if entry["score"] > 0.9:
                masks = [
                    np.zeros((64, 96), bool) if r is None else decode(r)
                    for r in entry["segmentations"]
                ]
                found.append(np.stack(masks))
    return found


def runs(mask) -> int:
    return int((np.diff(mask.T.ravel().astype(int)) != 0).sum())


def test_sizes_and_run_lengths_are_those_of_real_tracks():
    """Drawn at their own size, in a window of all frames, they are the committed tracks."""
    instances = RecordedInstances(4, 3)
    tracker = MeasuredTracker((64, 96), 24, ToResults(), instances)
    tracker.update(range(24), torch.zeros(4, 4), torch.zeros(4, 24, 16, 24))
    tracks = tracker.tracks()
    assert len(tracks) == 4
    for track, real in zip(tracks, recorded_tracks(), strict=True):
        drawn = np.stack(
            [np.zeros((64, 96), bool) if r is None else decode(r) for r in track.segmentations]
        )
        alike = drawn.any((1, 2)) == real.any((1, 2))
        assert alike.mean() > 0.95, "a mask of a few pixels may get lost on the grid"
        present = real.any((1, 2))
        assert drawn.sum() == pytest.approx(real.sum(), rel=0.1)
        ours, theirs = (np.mean([runs(mask) for mask in masks[present]]) for masks in (drawn, real))
        assert ours == pytest.approx(theirs, rel=0.15)


def test_further_instances_are_other_masks_and_a_longer_video_goes_on():
    instances = RecordedInstances(40, 3)
    like = torch.zeros(1, 2, 16, 24)
    classes, logits = instances.window(range(60), 60, like)
    assert classes.shape == (40, 4)
    assert classes.sum(1) == pytest.approx(torch.ones(40))
    assert set(classes.argmax(1).tolist()) == {0, 1, 2}
    drawn = [tuple((one > 0).flatten().tolist()) for one in logits]
    assert len(set(drawn)) == 40
    assert (logits[:4] > 0).flatten(2).any(2).float().mean() > 0.8, "nearly all frames have a mask"
    first, again = logits[0, :24], logits[0, 23:47].flip(0)
    assert torch.equal(first, again), "forwards, then backwards"


def test_windows_are_views_of_what_was_made_once():
    instances = RecordedInstances(2, 3)
    like = torch.zeros(1, 2, 16, 24)
    _, first = instances.window(range(0, 3), 9, like)
    _, second = instances.window(range(1, 4), 9, like)
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    assert instances.bytes_on(torch.device("cpu")) == 4 * (2 * 9 * 16 * 24 + 2 * 4)


def test_masks_reach_the_host_and_are_dropped():
    tracker = MeasuredTracker((64, 96), 24, ToMasks(), RecordedInstances(4, 3))
    tracker.update(range(24), torch.zeros(4, 4), torch.zeros(4, 24, 16, 24))
    tracks = tracker.tracks()
    assert len(tracks) == 4
    assert {mask for track in tracks for mask in track.segmentations} == {None}


def test_results_json_is_the_text_of_all_tracks():
    end = ToResults()
    tracker = MeasuredTracker((64, 96), 24, end, RecordedInstances(4, 3))
    tracker.update(range(24), torch.zeros(4, 4), torch.zeros(4, 24, 16, 24))
    entries = json.loads(end.finish(tracker.tracks()))
    best = [entry for entry in entries if entry["score"] > 0.5]
    assert len(best) == 4
    assert {len(entry["segmentations"]) for entry in entries} == {24}
