"""Several processes on one training are the same training; half precision and compilation."""

import json
import math
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from ifc_bench.config import Optimisation, SyntheticData, Training
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.errors import UserError
from ifc_bench.store import Store
from ifc_bench.training.checkpoint import shared_state
from ifc_bench.training.consistency import check
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.processes import ALONE, Processes, join
from ifc_bench.training.trainer import Trainer
from tests.conftest import ROOT, tiny_model

SCRIPT = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from ifc_bench.training.processes import join
from tests.training.test_processes import losses_of, work
processes, device = join("cpu")
found = losses_of(work(), Path(sys.argv[1]), Path(sys.argv[2]), processes)
if processes.first:
    Path(sys.argv[3]).write_text(json.dumps(found))
"""


def work(**changes: object) -> Training:
    schedule = Optimisation(
        iterations=4, clips=4, clip_frames=3, sampling_range=4, learning_rate=1e-3, clip_norm=1.0
    ).model_copy(update=changes)
    return Training(
        model=tiny_model(dropout=0.1), optimisation=schedule, data=SyntheticData(), seed=0
    )


def losses_of(work: Training, data: Path, path: Path, processes: Processes = ALONE):
    curves = Trainer(work, VideoDataset(data), path, "cpu", Hooks(), processes).run()
    return {"loss": curves.loss, **curves.parts}


def torchrun(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "--standalone", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=200,
    )


def test_two_processes_give_the_losses_of_one(data_folder, tmp_path):
    """The same batches, four clips at once or two and two, over four steps of the optimiser."""
    script, out = tmp_path / "both.py", tmp_path / "losses.json"
    script.write_text(SCRIPT)
    data = data_folder / "train"
    done = torchrun(str(script), str(data), str(tmp_path / "both.pt"), str(out))
    assert done.returncode == 0, done.stderr
    together = json.loads(out.read_text())
    alone = losses_of(work(), data, tmp_path / "alone.pt")
    assert together.keys() == alone.keys()
    for name, values in alone.items():
        assert together[name] == pytest.approx(values, rel=1e-4), name
    weights = [
        torch.load(tmp_path / f"{n}.pt", weights_only=True)["model"] for n in ("both", "alone")
    ]
    for key, value in weights[1].items():
        torch.testing.assert_close(weights[0][key], value, rtol=1e-2, atol=2e-4, msg=key)


def test_the_command_line_under_torchrun(tmp_path):
    """All variants, box matching, images and the other decoder: every parameter has a gradient."""
    done = torchrun(
        "run_ablations.py", "run", "table2c", "table3a", "table3b", "decoder", "--preset=smoke",
        "--seeds=1", "--window=5", f"--results={tmp_path / 'results'}",
        f"--runs={tmp_path / 'runs'}", "--tensorboard",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("### ") == 4
    assert "incomplete" not in done.stdout
    curves = list((tmp_path / "runs" / "tensorboard").rglob("events.out*"))
    assert len(curves) == 8, "one for each training, from the first process alone"
    profiles = list(Store(tmp_path / "results", tmp_path / "runs").records("profile"))
    assert len(profiles) == 5, "measured by a process without torchrun"


class Second(Processes):
    """The second of two processes, which is told what the first one found."""

    def agreed(self, value):
        return 4


def test_a_process_waits_until_it_sees_the_checkpoint_of_the_first(
    data_folder, tmp_path, monkeypatch
):
    """The first one resumes from iteration 4; here the file comes late, after an older one."""
    data, path = VideoDataset(data_folder / "train"), tmp_path / "x.pt"
    ours, states = work(), {}
    for reached in (3, 4):
        aside = tmp_path / f"{reached}.pt"
        trainer = Trainer(ours, data, aside, "cpu", Hooks())
        trainer.iteration = reached
        trainer._save()
        states[reached] = aside.read_bytes()
    path.write_bytes(states[3])
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            path.write_bytes(states[4])

    monkeypatch.setattr("ifc_bench.training.checkpoint.time.sleep", sleep)
    found = shared_state(path, ours, Second(1, 2, 1))
    assert found is not None
    assert found["iteration"] == 4
    assert len(waits) == 3
    path.write_bytes(states[3])
    waits.extend([0.0] * 3)
    monkeypatch.setattr("ifc_bench.training.checkpoint._LAG_SECONDS", 0.0)
    with pytest.raises(UserError, match=r"resumes from iteration 4, process 1 does not see it"):
        shared_state(path, ours, Second(1, 2, 1))


def test_batches_are_shared_out_without_rest(data_folder):
    data, schedule = VideoDataset(data_folder / "train"), work().optimisation
    whole = draw_batch(data, schedule, 0, 3)
    parts = [draw_batch(data, schedule, 0, 3, part, 2) for part in range(2)]
    assert torch.equal(whole.clips[0::2], parts[0].clips)
    assert torch.equal(whole.clips[1::2], parts[1].clips)


def test_a_batch_that_does_not_divide_is_refused(data_folder):
    data = VideoDataset(data_folder / "train")
    with pytest.raises(UserError, match=r"optimisation\.clips: 4 is not divisible by 3 processes"):
        check(work(), data, Processes(0, 3))


def test_boxes_need_a_head_for_every_frame(data_folder):
    data = VideoDataset(data_folder / "train")
    loss = Optimisation(iterations=1).loss.model_copy(update={"matching": "boxes"})
    with pytest.raises(UserError, match=r"model\.box_frames: 0; matching on boxes needs one"):
        check(work(loss=loss), data, ALONE)


def test_more_processes_than_gpus_is_one_line(monkeypatch):
    for key, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="there is no GPU for local rank 1"):
        join("cuda:0")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_close_and_part_of_the_id(precision, data_folder, tmp_path):
    data = data_folder / "train"
    half = work(precision=precision)
    assert half.id != work().id
    full = losses_of(work(), data, tmp_path / "full.pt")["loss"]
    found = losses_of(half, data, tmp_path / "half.pt")["loss"]
    assert found != full
    assert found[0] == pytest.approx(full[0], rel=0.01)
    assert all(math.isfinite(loss) for loss in found)  # float16 skips steps until its scale fits
    state = torch.load(tmp_path / "half.pt", weights_only=True)
    assert bool(state["scaler"]) == (precision == "float16")
    assert all(v.dtype != torch.bfloat16 for v in state["model"].values())


def test_compiled_is_the_same_training_with_another_id(data_folder, tmp_path, monkeypatch):
    """Traced and differentiated by torch.compile; its C++ of a minute is left to torch's tests."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    data = data_folder / "train"
    small = work(iterations=1, clips=1, clip_frames=2).model_copy(
        update={"model": tiny_model(encoder_layers=1, decoder_layers=1)}
    )
    compiled = small.model_copy(
        update={"optimisation": small.optimisation.model_copy(update={"compiled": True})}
    )
    assert compiled.id != small.id
    plain = losses_of(small, data, tmp_path / "plain.pt")["loss"]
    found = losses_of(compiled, data, tmp_path / "compiled.pt")["loss"]
    assert found == pytest.approx(plain, rel=1e-3)


def test_loader_processes_give_the_same_batches(data_folder, tmp_path):
    data = VideoDataset(data_folder / "train")
    here = Trainer(work(), data, tmp_path / "a.pt", "cpu", Hooks()).run()
    ahead = Trainer(work(), data, tmp_path / "b.pt", "cpu", Hooks(loaders=1)).run()
    assert ahead.loss == here.loss


def test_curves_go_to_whoever_logs(data_folder, tmp_path):
    seen = {}
    hooks = Hooks(log=lambda done, values: seen.update({done: values}), score=lambda model: 0.5)
    Trainer(
        work(curve_every=2), VideoDataset(data_folder / "train"), tmp_path / "a.pt", "cpu", hooks
    ).run()
    assert sorted(seen) == [1, 2, 3, 4]
    assert {"loss", "loss/classes", "loss/dice", "loss/focal", "rate"} <= seen[1].keys()
    assert "AP" not in seen[1]
    assert seen[2]["AP"] == 0.5


def test_a_signal_under_torchrun_leaves_a_checkpoint(tmp_path):
    """torchrun passes SIGTERM on to its processes, and all of them stop after one iteration."""
    store = Store(tmp_path / "results", tmp_path / "runs")
    chosen = (
        "run_ablations.py", "run", "table3d", "--preset=smoke", "--seeds=1", "--window=5",
        "--iterations=4000", "--tensorboard", f"--results={store.results}", f"--runs={store.runs}",
    )  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    running = subprocess.Popen(
        [*command, *chosen], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((store.runs / "tensorboard").glob("*/*")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    running.terminate()
    said = running.communicate(timeout=60)[1]
    assert "kept at iteration" in said
    [path] = (store.runs / "checkpoints").glob("*.pt")
    assert torch.load(path, weights_only=True)["iteration"] > 0
    assert not list(store.records("training"))
