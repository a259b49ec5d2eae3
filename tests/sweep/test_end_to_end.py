"""End-to-end sweeps in real processes: run, stop, resume, report."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from ablations import PRESETS, TABLES
from ifc_bench.cli import older_rows
from ifc_bench.config import Evaluation, Optimisation, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.synthetic import synthesize
from ifc_bench.errors import UserError
from ifc_bench.inference import predict
from ifc_bench.models.build import build_model
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, EvaluationResult, TrainingResult
from ifc_bench.store import Store
from tests.conftest import ROOT, one_line_error, run_cli, run_process, tiny_model


def run_smoke(folder: Path, *tables: str, seeds: int = 1) -> subprocess.CompletedProcess[str]:
    return run_process(
        "run",
        *tables,
        "--preset=smoke",
        f"--seeds={seeds}",
        f"--results={folder / 'results'}",
        f"--runs={folder / 'runs'}",
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """Table 1 and two rows of Table 3(a), at the smallest preset."""
    folder = tmp_path_factory.mktemp("sweep")
    done = run_smoke(folder, "table1", "own", seeds=2)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def stores(folder: Path) -> Store:
    return Store(folder / "results", folder / "runs")


def test_every_piece_has_a_record(finished):
    records = list(stores(finished[0]).records())
    kinds = [record.work.kind for record in records]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "count": 16,
        "training": 4,
        "evaluation": 8,
        "profile": 4,
    }
    assert all(record.status == "ok" for record in records)
    for record in records:
        if record.work.kind == "count":
            continue
        assert record.split_hash
        assert record.attention == "materialised"
        assert record.provenance.device.name


def test_curves_are_kept(finished):
    for record in stores(finished[0]).records():
        if isinstance(record.result, TrainingResult):
            assert len(record.result.loss) == 4
            assert [iteration for iteration, _ in record.result.accuracy_curve] == [2, 4]
            assert record.result.parameters > 100_000
        if isinstance(record.result, EvaluationResult):
            assert len(record.result.metrics) == 12
            assert len(record.result.by_situation) == 5


def test_tables_are_printed_and_written(finished):
    folder, printed = finished
    for heading in ("### Table 1", "### A module of one's own"):
        assert heading in printed
    for part in ("n = 2 training runs", "preset: smoke", "split ", "FPS: to masks", "attention"):
        assert part in printed
    assert "±" in printed
    assert (folder / "results" / "tables" / "own-smoke.md").read_text() in printed


def test_a_second_run_does_nothing_again(finished):
    folder, printed = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "results").glob("*s/*.json")}
    again = run_smoke(folder, "table1", "own", seeds=2)
    assert again.returncode == 0, again.stderr
    assert "0 pieces of work" in again.stderr
    assert again.stdout == printed
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_speeds_that_were_measured_under_another_torch_are_named(finished, monkeypatch):
    folder, printed = finished
    there = provenance("cpu", 1)
    later = there.model_copy(update={"packages": there.packages | {"torch": "99.0"}})
    monkeypatch.setattr(older_rows, "provenance", lambda *_: later)
    places = (f"--results={folder / 'results'}", f"--runs={folder / 'runs'}")
    again = run_cli("run", "table1", "own", "--preset=smoke", "--seeds=2", *places)
    assert again.returncode == 0, again.stderr
    torch_then = f"torch {there.packages['torch']} (now 99.0)"
    assert f"note: 4 rows were measured before with {torch_then}" in again.stderr
    assert again.stdout.split() == printed.split()


def test_another_table_shares_what_is_there(finished):
    """Table 3(d) needs only its unified row; Table 4(a) nothing at all."""
    folder, _ = finished
    plan = run_cli(
        "plan",
        "table3d",
        "table4a",
        "--preset=smoke",
        "--seeds=2",
        f"--results={folder / 'results'}",
        f"--runs={folder / 'runs'}",
    )
    assert "trainings: 10, 4 exist" in plan.stdout


@pytest.mark.parametrize(
    ("style", "mark"), [("github", "| No Comm"), ("latex", r"\toprule"), ("csv", "own,No Comm")]
)
def test_report_formats(finished, style, mark):
    done = run_cli(
        "report",
        "own",
        "--preset=smoke",
        "--seeds=2",
        f"--results={finished[0] / 'results'}",
        f"--format={style}",
    )
    assert done.returncode == 0, done.stderr
    assert mark in done.stdout


def test_report_json_has_full_precision_and_the_paper_beside_it(finished):
    results = finished[0] / "results"
    done = run_cli(
        "report",
        "table3a",
        "--preset=smoke",
        "--seeds=2",
        f"--results={results}",
        "--format=json",
        "--compare=paper",
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["values"]
    ours = [v for v in values if v["source"] == "ours"]
    printed = [v for v in values if v["source"] == "paper"]
    assert len([v for v in ours if v["metric"] == "FPS"]) == 4
    assert all(v["n"] == 2 for v in ours if v["metric"] == "AP")
    ifc = [v for v in printed if (v["communication"], v["T"], v["metric"]) == ("IFC", 5, "AP")]
    assert (ifc[0]["mean"], ifc[0]["std"]) == (39.0, 1.6)
    assert not [v for v in printed if v["metric"] == "FPS"], (
        "FPS of another GPU must not appear here"
    )


def test_a_finished_training_predicts_and_is_drawn(finished, data_folder, tmp_path):
    folder, clips, out = finished[0], data_folder / "valid", tmp_path / "results.json"
    training = next(stores(folder).records("training"))
    options = [f"--results={folder / 'results'}", f"--runs={folder / 'runs'}", f"--out={out}"]
    done = run_process("predict", f"--data={clips}", f"--training={training.id}", *options)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(out.read_text()), list)
    unknown = run_process("predict", f"--data={clips}", "--training=0123", *options)
    assert "--training: '0123' has no record under" in one_line_error(unknown)
    drawn = run_cli(
        "visualize", f"--data={clips}", f"--predictions={out}", f"--out={tmp_path / 'p'}",
        "--video=2", "--columns=4", "--threshold=0", "--gif", "--label=ours",
    )  # fmt: skip
    assert drawn.returncode == 0, drawn.stderr
    picture = np.asarray(Image.open(tmp_path / "p" / "fast_motion" / "video-2.png"))
    assert picture.shape[1] > 2 * picture.shape[0] > 400, "four frames wide, two sources high"
    moving = Image.open(tmp_path / "p" / "fast_motion" / "video-2.gif")
    assert moving.n_frames == 12
    names = run_cli("visualize", f"--data={clips}", f"--out={tmp_path}", "--label=a")
    assert "--label: 1 labels for 0 files" in one_line_error(names)
    fog = run_cli("visualize", f"--data={clips}", f"--out={tmp_path}", "--situation=fog")
    assert "--situation: 'fog' is not in the data, which has: fast_motion" in one_line_error(fog)
    wrong = run_cli("visualize", f"--data={clips}", f"--out={tmp_path}", "--video=99")
    assert "--video: 99 is not among 1, 2, 3, 4, 5" in one_line_error(wrong)
    given = ["--video=2", "--frame", "3", "7", f"--out={tmp_path / 'q'}"]
    two = run_cli("visualize", f"--data={clips}", *given)
    assert two.returncode == 0, two.stderr
    with Image.open(tmp_path / "q" / "fast_motion" / "video-2.png") as narrow:
        assert narrow.size[0] < 0.6 * picture.shape[1], "two frames, not four"
    late = run_cli("visualize", f"--data={clips}", *given, "--frame=12")
    assert "--frame: 12 is not in video 2, whose last is 11" in one_line_error(late)


def test_the_attention_of_a_finished_training_is_drawn(finished, data_folder, tmp_path):
    folder, clips, out = finished[0], data_folder / "valid", tmp_path / "attention.png"
    by_kind = {r.work.model.communication.kind: r.id for r in stores(folder).records("training")}
    options = [f"--results={folder / 'results'}", f"--runs={folder / 'runs'}", f"--data={clips}"]
    given = [f"--training={by_kind['ifc']}", "--video=3", f"--out={out}", *options]
    done = run_cli("attention", *given, "--window=3", "--first=4")
    assert done.returncode == 0, done.stderr
    found = re.search(r"of 8 tokens, \d has ([\d.]+)% .* \d has ([\d.]+)%", done.stdout)
    assert found, done.stdout
    assert 0 <= float(found[2]) <= float(found[1]) <= 100
    with Image.open(out) as picture:
        assert "memory tokens" in picture.info["Title"]
        assert picture.size[0] > 400
    late = run_cli("attention", *given, "--first=10")
    assert "frames 10 to 14 are not all in video 3, which has 12" in one_line_error(late)
    without = [f"--training={by_kind['none']}", "--video=3", f"--out={out}", *options]
    assert "no memory tokens" in one_line_error(run_cli("attention", *without))


def test_a_window_and_offline_predict_without_annotations(finished, data_folder, tmp_path):
    """A downloaded split without public annotations can be predicted on."""
    folder, path = finished[0], tmp_path / "valid.json"
    shutil.copytree(data_folder / "valid" / "JPEGImages", tmp_path / "valid" / "JPEGImages")
    content = json.loads((data_folder / "valid" / "instances.json").read_text())
    path.write_text(json.dumps({**content, "annotations": None}))
    training = next(stores(folder).records("training"))
    done = run_process(
        "predict", f"--data={path}", f"--training={training.id}", "--offline", "--short-edge=40",
        f"--results={folder / 'results'}", f"--runs={folder / 'runs'}",
        f"--out={tmp_path / 'r.json'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "entries from" in done.stdout
    shutil.rmtree(tmp_path / "valid")
    for wrong, message in ((tmp_path / "none.json", "no such file"), (path, "no such directory")):
        failed = run_process(
            "predict", f"--data={wrong}", f"--training={training.id}", f"--out={tmp_path / 'x'}"
        )
        assert message in one_line_error(failed)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a sweep of two training runs in the background, which receives interrupts.

    A shell that starts the tests with "&" makes them and their child processes ignore interrupts.
    """
    command = [sys.executable, str(ROOT / "run_ablations.py"), "run", "table3d"]
    command += ["--preset=smoke", f"--results={folder / 'results'}", f"--runs={folder / 'runs'}"]
    return subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_sweep_leaves_no_process_and_goes_on_where_it_was(tmp_path):
    """After a kill during work, all processes end, and the same command finishes the sweep."""
    process = start(tmp_path, "--seeds=1", "--workers=1")
    trainings = tmp_path / "results" / "trainings"
    wait_for(lambda: list(trainings.glob("*.json")))
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(children, timeout=60)
    assert not [child for child in children if child.is_running()]
    kept = {p: p.read_bytes() for p in trainings.glob("*.json")}
    assert kept
    done = run_smoke(tmp_path, "table3d")
    assert done.returncode == 0, done.stderr
    assert len(list(trainings.glob("*.json"))) == 2
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert "incomplete" not in done.stdout


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupt_says_how_to_go_on(sign, tmp_path):
    if signal.getsignal(sign) == signal.SIG_IGN:
        pytest.skip(
            f"signal {sign.name} is ignored here (nohup does so), and children inherit that"
        )
    process = start(tmp_path, "--seeds=2")
    wait_for((tmp_path / "runs").exists)
    process.send_signal(sign)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "run the same command again to continue" in stderr
    assert "Traceback" not in stderr


def test_a_training_that_is_interrupted_keeps_its_iterations(tmp_path):
    """No checkpoint is due for 20 seconds; on the interrupt one is written at once."""
    process = start(tmp_path, "--seeds=1", "--workers=1", "--iterations=9000", "--tensorboard")
    wait_for(lambda: list((tmp_path / "runs" / "tensorboard").glob("*/events*")))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 130
    kept = re.search(r"ifc M=8 unified seed 0: kept at iteration (\d+) of 9000", stderr)
    assert kept, stderr
    (checkpoint,) = (tmp_path / "runs" / "checkpoints").glob("*.pt")
    assert torch.load(checkpoint, weights_only=True)["iteration"] == int(kept[1])


def test_a_broken_data_set_stops_the_sweep_with_one_line(tmp_path):
    preset = PRESETS["smoke"]
    store = stores(tmp_path)
    folder = store.data_path(preset.video.data)
    synthesize(preset.video.data, folder)
    next((folder / "valid" / "JPEGImages").rglob("*.jpg")).unlink()
    done = run_smoke(tmp_path, "table3d")
    assert done.returncode == 2
    assert "is missing; restore it or drop the video" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_window_longer_than_the_video_is_refused(data_folder):
    data = VideoDataset(data_folder / "valid")
    training = Training(
        model=tiny_model(),
        optimisation=Optimisation(iterations=1),
        data=PRESETS["smoke"].video.data,
        seed=0,
    )
    with pytest.raises(UserError, match=r"video 1: has 12 frames, the window is T = 20; choose"):
        predict(build_model(training.model), data, Evaluation(training=training, window=20))
    shrunk = Evaluation(training=training, window=20, short_videos="shrink")
    assert predict(build_model(training.model).eval(), data, shrunk).seconds > 0


def test_a_failed_piece_is_a_record_and_is_tried_again(finished, tmp_path, monkeypatch):
    from ifc_bench.sweep.plan import make_plan
    from ifc_bench.sweep.worker import Worker

    preset = PRESETS["smoke"].model_copy(update={"seeds": 1})
    store = stores(tmp_path)
    plan = make_plan([TABLES["table3d"](preset)], preset, Device(kind="cpu", name="cpu", threads=1))
    job = plan.jobs(store)[0]
    worker = Worker(store, "cpu", 1, lambda *_: None)
    monkeypatch.setattr("ifc_bench.sweep.train.Trainer", lambda *_: 1 / 0)
    records = worker.job(job)
    assert [record.status for record in records] == ["failed"]
    assert "ZeroDivisionError" in (store.load(job.training).error or "")
    assert not store.done(job.training)
    assert len(plan.jobs(store)) == 2


def test_a_gpu_that_torch_cannot_use_is_one_line(tmp_path, monkeypatch):
    from ifc_bench.sweep.worker import Worker

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    worker = Worker(stores(tmp_path), "cuda:0", 1, lambda *_: None)
    with pytest.raises(UserError, match="--device: cuda:0 exists, but torch"):
        worker.prepare()


def test_bad_table_is_one_line(tmp_path):
    assert "'tableX'" in one_line_error(run_smoke(tmp_path, "tableX"))
