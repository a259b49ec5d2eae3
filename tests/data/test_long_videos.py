"""A video of 300 frames through everything that reads videos or their masks."""

import json

import numpy as np
import pytest
from PIL import Image

from ifc_bench.config import Evaluation, Optimisation, Training
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.catalogue import adopt
from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.evaluation import read_predictions, score_images
from ifc_bench.store import Store
from tests.conftest import run_cli, tiny_model

FRAMES, SIZE = 300, (16, 24)


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    """DAVIS's layout, with one video of one instance that moves to the right and back."""
    root = tmp_path_factory.mktemp("davis")
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("goat\n")
    frames, masks = (root / part / "480p" / "goat" for part in ("JPEGImages", "Annotations"))
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number in range(FRAMES):
        index = np.zeros(SIZE, np.uint8)
        left = number % 12
        index[4:12, left : left + 8] = 1
        Image.fromarray(index * 200).convert("RGB").save(frames / f"{number:05d}.jpg")
        Image.fromarray(index).save(masks / f"{number:05d}.png")
    return root


@pytest.fixture(scope="module")
def clips(davis, tmp_path_factory):
    out = tmp_path_factory.mktemp("long") / "clips"
    assert run_cli("data", "convert-davis", davis, f"--out={out}").returncode == 0
    return out


@pytest.fixture(scope="module")
def perfect(clips, tmp_path_factory):
    """The truth as predictions."""
    [truth] = json.loads((clips / "instances.json").read_text())["annotations"]
    path = tmp_path_factory.mktemp("predictions") / "perfect.json"
    path.write_text(json.dumps([{**truth, "score": 0.9}]))
    return path


def test_davis_is_converted_and_has_no_faults(clips):
    [annotation] = read_instances(clips / "instances.json").annotations
    assert annotation.area == 64
    assert run_cli("data", "validate", clips).returncode == 0


def test_predictions_are_scored_and_drawn(clips, perfect, tmp_path):
    truth = f"--ground-truth={clips / 'instances.json'}"
    given = [truth, f"--predictions={perfect}", "--format=json"]
    scored = run_cli("evaluate", *given, "--method=M", f"--results={tmp_path}")
    assert scored.returncode == 0
    assert json.loads(scored.stdout)["AP"] == pytest.approx(1.0)
    out = tmp_path / "pictures"
    drawn = [f"--data={clips}", f"--predictions={perfect}", f"--out={out}", "--columns=2"]
    assert run_cli("visualize", *drawn).returncode == 0
    assert (out / "video-1.png").stat().st_size > 1000


def test_a_training_is_probed_evaluated_and_predicts(clips, tmp_path):
    from ifc_bench.sweep.plan import Job
    from ifc_bench.sweep.worker import Worker

    store = Store(tmp_path / "results", tmp_path / "runs")
    schedule = Optimisation(iterations=1, clips=1, clip_frames=2, curve_every=1, curve_stride=150)
    data = adopt(clips, "folder", store).data
    training = Training(model=tiny_model(classes=1), optimisation=schedule, data=data, seed=0)
    evaluation = Evaluation(training=training, window=20, stride=20)
    worker = Worker(store, "cpu", 1, lambda *_: None)
    records = worker.job(Job(training, (evaluation,)))
    assert [record.status for record in records] == ["ok", "ok"]
    assert records[0].result.accuracy_curve[-1][0] == 1
    assert records[1].result.frames == FRAMES
    out = tmp_path / "found.json"
    options = [f"--results={store.results}", f"--runs={store.runs}", f"--out={out}"]
    window = ["--window=20", "--stride=20", "--device=cpu"]
    assert (
        run_cli(
            "predict", f"--data={clips}", f"--training={training.id}", *options, *window
        ).returncode
        == 0
    )
    found = read_predictions(out, read_instances(clips / "instances.json"))
    assert all(len(track.rles) == FRAMES for track in found)


def test_an_image_with_300_instances_is_scored(tmp_path):
    masks = np.zeros((FRAMES, 20, 60), bool)
    for number in range(FRAMES):
        row, column = divmod(number, 30)
        masks[number, 2 * row, 2 * column : 2 * column + 2] = True
    content = {
        "videos": [{"id": 1, "height": 20, "width": 60, "length": 1, "file_names": ["a.jpg"]}],
        "categories": [{"id": 1, "name": "dot"}],
        "annotations": [
            written_annotation(n, 1, 1, m[None]) for n, m in enumerate(masks, 1)
        ],
    }  # fmt: skip
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    truth = read_instances(path)
    path.write_text(json.dumps([{**a, "score": 0.5} for a in content["annotations"]]))
    found = read_predictions(path, truth)
    assert score_images(truth, found).summary()["AR100"] == pytest.approx(100 / 300, abs=0.02)
    path.write_text(json.dumps(content))
    predictions = tmp_path / "p.json"
    predictions.write_text(json.dumps([{**a, "score": 0.5} for a in content["annotations"]]))
    assert (
        run_cli("evaluate", f"--ground-truth={path}", f"--predictions={predictions}").returncode
        == 0
    )
