"""What of a track is written: every class over the threshold, each mask once, null where none."""

import json
import os
import resource
from functools import partial

import numpy as np
import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.config import FullTHW, NoComm
from ifc_bench.config import Testing as How
from ifc_bench.data.loading import VideoDataset
from ifc_bench.inference import (
    Partial,
    Predictions,
    predict,
    predict_in_one_pass,
    results_json,
    scored,
)
from ifc_bench.masks import encode
from ifc_bench.models.build import build_model
from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Track
from ifc_bench.tracking import ClipTracker
from tests.conftest import one_line_error, run_cli, tiny_model


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


def test_what_was_found_is_kept_until_all_is(track, tmp_path):
    found = scored([track], 7, [10, 20, 30], 0.01)
    first = Partial(tmp_path / "r.json", "request")
    first.add(7, 1, found, 2.0)
    whole = first.path.read_text()
    line = whole.splitlines()[-1]
    for cut in ('{"tracks": [{"vid', line[: line.index("}") + 1], line):  # by a power failure
        first.path.write_text(whole + cut)
        assert Partial(tmp_path / "r.json", "request").counts == {7: 1}
    again = Partial(tmp_path / "r.json", "request")
    assert list(again.tracks) == [7]
    assert again.tracks[7] == found
    assert again.seconds == {7: 2.0}
    again.add(8, 0, [], 0.0)
    assert Partial(tmp_path / "r.json", "request").counts == {7: 1, 8: 0}
    assert not Partial(tmp_path / "r.json", "another request").tracks
    again.done()
    assert not list(tmp_path.iterdir())


def test_predictions_that_are_not_finite_are_one_line_and_leave_nothing(
    data_folder, tmp_path, monkeypatch, capsys
):
    """Weights may be finite, and too large to be computed with."""
    model = build_model(tiny_model()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3e38)
    monkeypatch.setattr("ifc_bench.inference.load_model", lambda *_, **__: model)
    out = tmp_path / "r.json"
    assert main(TABLES, PRESETS, ["predict", f"--data={data_folder / 'valid'}", f"--out={out}",
                                  "--training=x"]) == 2  # fmt: skip
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("error: predictions: not all finite")
    assert not [line for line in told if "Traceback" in line]
    assert not list(tmp_path.iterdir())


DAMAGED = {
    "not text": b"\xff\xfe\n",
    "not JSON": b"{\n",
    "another JSON": b"[1]\n",
    "a field too few": b'{"video": 1, "count": 1}\n',
    "a number of 5,000 digits": b'{"video": %s}\n' % (b"1" * 5000),
    "too deep": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_follows_a_damaged_line_is_done_again(line, track, tmp_path):
    first = Partial(tmp_path / "r.json", "request")
    for video in (7, 8, 9):
        first.add(video, 1, scored([track], video, [10, 20, 30], 0.01), 1.0)
    head, seven, _, nine, _ = first.path.read_bytes().split(b"\n")
    first.path.write_bytes(b"\n".join([head, seven, line.removesuffix(b"\n"), nine, b""]))
    assert Partial(tmp_path / "r.json", "request").counts == {7: 1}
    assert Partial(tmp_path / "r.json", "request").counts == {7: 1}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xff\n\xff\n", b"", b"\n\n"])
def test_a_file_that_is_no_partial_result_is_left_out_of_account(content, tmp_path):
    (tmp_path / ".r.json.partial").write_bytes(content)
    kept = Partial(tmp_path / "r.json", "request")
    assert not kept.tracks
    assert kept.path.read_text() == "request\n"


def test_a_full_disk_is_told_with_the_file(track, tmp_path):
    kept = Partial(tmp_path / "r.json", "request")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))  # as on a disk that is full
    try:
        with pytest.raises(OSError, match="too large") as caught:
            kept.add(7, 1, scored([track], 7, [10, 20, 30], 0.01), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(kept.path)
    assert not Partial(tmp_path / "r.json", "request").tracks


@pytest.mark.parametrize("out", [".", "{folder}"])
def test_a_place_for_results_that_is_no_file_is_refused_at_once(out, data_folder, tmp_path):
    given = ["--training=0123", f"--data={data_folder / 'valid'}"]
    line = one_line_error(run_cli("predict", *given, f"--out={out.format(folder=tmp_path)}"))
    assert "is not a file; name the results.json to write" in line


def test_a_file_stays_only_where_it_holds_a_video(track, tmp_path):
    with Partial(tmp_path / "r.json", "request"):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with Partial(tmp_path / "r.json", "request") as kept:
        kept.add(7, 1, scored([track], 7, [10, 20, 30], 0.01), 1.0)
    assert Partial(tmp_path / "r.json", "request").counts == {7: 1}


class StoppedError(Exception):
    pass


def test_a_stopped_prediction_goes_on_after_the_last_finished_video(data_folder, tmp_path):
    torch.manual_seed(0)
    model = build_model(tiny_model()).eval()
    with torch.no_grad():
        model.heads.classify.layers[-1].weight.mul_(5)
    data, how = VideoDataset(data_folder / "valid"), How(window=4, stride=2)
    whole = predict(model, data, how)
    assert whole.tracks

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        predict(model, data, how, stop, Partial(tmp_path / "r.json", "x"))
    read: list[int] = []
    frames = data.frames
    data.frames = lambda video, *rest: read.append(video.id) or frames(video, *rest)
    kept = Partial(tmp_path / "r.json", "x")
    before = sum(kept.seconds.values())
    resumed = predict(model, data, how, kept=kept)
    assert set(read) == {4, 5}
    assert resumed.seconds > before > 0, "of both runs"
    assert results_json(resumed) == results_json(whole)
    assert resumed.count == whole.count


def test_several_ways_in_one_pass_go_on_as_well(data_folder, tmp_path):
    """A video counts as done where every way has it."""
    torch.manual_seed(0)
    model = build_model(tiny_model()).eval()
    with torch.no_grad():
        model.heads.classify.layers[-1].weight.mul_(5)
    data = VideoDataset(data_folder / "valid")
    hows = [How(window=4, stride=2), How(window=6, stride=2)]

    def kept() -> list[Partial]:
        return [Partial(tmp_path / f"{how.window}.json", "x") for how in hows]

    whole = predict_in_one_pass(model, data, hows)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        predict_in_one_pass(model, data, hows, stop, kept())
    path = kept()[1].path
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:3]))
    read: list[int] = []
    frames = data.frames
    data.frames = lambda video, *rest: read.append(video.id) or frames(video, *rest)
    resumed = predict_in_one_pass(model, data, hows, kept=kept())
    assert set(read) == {3, 4, 5}
    assert [results_json(one) for one in resumed] == [results_json(one) for one in whole]


@pytest.mark.parametrize(("communication", "same"), [(NoComm(), True), (FullTHW(), False)], ids=str)
def test_isolated_frames_are_a_way_of_testing(communication, same, data_folder):
    torch.manual_seed(0)
    model = build_model(tiny_model(communication)).eval()
    with torch.no_grad():
        model.heads.classify.layers[-1].weight.mul_(5)
    data = VideoDataset(data_folder / "valid")
    whole = predict(model, data, How(window=4, stride=4))
    alone = predict(model, data, How(window=4, stride=4, isolated=True))
    assert whole.tracks
    assert (results_json(alone) == results_json(whole)) == same
    assert results_json(predict(model, data, How(window=4, stride=4))) == results_json(whole)


@pytest.fixture
def finds() -> IFC:
    """Fresh weights that find something on noise and scenes alike."""
    torch.manual_seed(0)
    model = build_model(tiny_model()).eval()
    with torch.no_grad():
        model.heads.classify.layers[-1].weight.mul_(5)
    return model


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_network_is_tested_in_mixed_precision(precision, finds, data_folder, monkeypatch):
    data, types = VideoDataset(data_folder / "valid"), set()
    whole = predict(finds, data, How(window=4, stride=2))
    update = ClipTracker.update

    def watched(self, frames, probabilities, logits):
        types.add(logits.dtype)
        return update(self, frames, probabilities, logits)

    monkeypatch.setattr(ClipTracker, "update", watched)
    half = predict(finds, data, How(window=4, stride=2, precision=precision))
    assert types == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert half.tracks
    assert results_json(half) != results_json(whole)
    best = [max(track.score for track in found.tracks) for found in (half, whole)]
    assert best[0] == pytest.approx(best[1], abs=0.05)
    again = predict(finds, data, How(window=4, stride=2))
    assert results_json(again) == results_json(whole), "fp32 is as before, to the bit"


def test_predict_runs_as_its_options_say(finds, data_folder, tmp_path, monkeypatch):
    hows = []

    def watched(model, data, how, *rest):
        hows.append(how)
        return Predictions([], 0, 0.0)

    monkeypatch.setattr("ifc_bench.inference.load_model", lambda *_, **__: finds)
    monkeypatch.setattr("ifc_bench.inference.predict", watched)
    given = [f"--data={data_folder / 'valid'}", f"--out={tmp_path / 'r.json'}", "--training=x"]
    for options in ([], ["--precision=bf16", "--compile"]):
        assert run_cli("predict", *given, "--device=cpu", *options).returncode == 0
    assert [(how.precision, how.compiled) for how in hows] == [("fp32", False), ("bf16", True)]


@pytest.mark.parametrize(("precision", "on"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_on_for_tf32_alone(precision, on, finds, data_folder, tf32):
    seen = set()
    decode = finds.decode
    finds.decode = lambda maps: seen.add(tf32()) or decode(maps)
    predict(
        finds, VideoDataset(data_folder / "valid"), How(window=4, stride=8, precision=precision)
    )
    assert seen == {(on, on)}


def test_a_compiled_network_finds_the_same_and_is_itself_afterwards(
    finds, data_folder, monkeypatch
):
    """Traced by torch.compile; its C++ of a minute is left to torch's tests."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    data = VideoDataset(data_folder / "valid")
    plain, found = [
        predict(finds, data, How(window=4, stride=4, compiled=compiled))
        for compiled in (False, True)
    ]
    assert plain.tracks
    assert [track.score for track in found.tracks] == pytest.approx(
        [track.score for track in plain.tracks], abs=1e-4
    )
    assert not {"features", "decode"} & vars(finds).keys()


def test_another_number_of_classes_is_a_fault_of_ours(track):
    with pytest.raises(ValueError, match="zip"):
        scored([track], 7, [10, 20], 0.01)


def test_a_device_is_refused_before_any_video(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is not a regular file"):
        Partial(pipe, "request")
    assert list(tmp_path.iterdir()) == [pipe]
