"""Deterministic, resumable to the bit, honest about losses that are none."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ifc_bench.config import Optimisation, SyntheticData, Training
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.errors import Stopped, UserError
from ifc_bench.training.trainer import Hooks, Trainer, trained_model
from tests.conftest import ROOT, tiny_model


@pytest.fixture(scope="module")
def data(data_folder):
    return VideoDataset(data_folder / "train", cached_frames=1000)


def work(seed: int = 0, **changes: object) -> Training:
    schedule = Optimisation(
        iterations=6, clips=2, clip_frames=3, sampling_range=4, learning_rate=1e-3, clip_norm=1.0
    ).model_copy(update=changes)
    return Training(
        model=tiny_model(dropout=0.1), optimisation=schedule, data=SyntheticData(), seed=seed
    )


def train(work: Training, data: VideoDataset, path: Path, **hooks: object):
    return Trainer(work, data, path, "cpu", Hooks(**hooks)).run()


def step(trainer: Trainer) -> None:
    """One iteration by hand."""
    schedule, seed = trainer.work.optimisation, trainer.work.seed
    trainer._step(schedule, draw_batch(trainer.data, schedule, seed, trainer.iteration))


def test_same_seed_same_curve_to_the_bit(data, tmp_path):
    first = train(work(), data, tmp_path / "a.pt")
    torch.rand(7)  # the global generator's state before must not matter
    second = train(work(), data, tmp_path / "b.pt")
    assert first.loss == second.loss
    assert first.parts == second.parts
    assert train(work(seed=1), data, tmp_path / "c.pt").loss != first.loss


class StoppedError(Exception):
    pass


def test_resume_in_the_middle_is_the_same_curve_to_the_bit(data, tmp_path):
    whole = train(work(), data, tmp_path / "whole.pt")

    def stop(done: int, loss: float) -> None:
        if done == 4:
            raise StoppedError

    path = tmp_path / "parts.pt"
    with pytest.raises(StoppedError):
        train(work(), data, path, progress=stop, checkpoint_every=0.0)
    assert torch.load(path, weights_only=True)["iteration"] == 3
    assert train(work(), data, path).loss == whole.loss
    a, b = (torch.load(p, weights_only=True)["model"] for p in (tmp_path / "whole.pt", path))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_killed_process_goes_on_from_its_checkpoint(data, data_folder, tmp_path):
    """SIGKILL, in the middle, in a real process."""
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from ifc_bench.data.loading import VideoDataset\n"
        "from tests.training.test_trainer import train, work\n"
        "import torch; torch.set_num_threads(1)\n"
        "say = lambda done, loss: print(done, flush=True)\n"
        "data = VideoDataset(Path(sys.argv[1]), 1000)\n"
        "train(work(iterations=400), data, Path(sys.argv[2]), progress=say, checkpoint_every=0)\n"
    )
    path = tmp_path / "killed.pt"
    process = subprocess.Popen(
        [sys.executable, str(script), str(data_folder / "train"), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 5:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = torch.load(path, weights_only=True)["iteration"]
    assert 0 < reached < 400
    short = work(iterations=400)
    trainer = Trainer(short, data, path, "cpu", Hooks())
    assert trainer.iteration == reached
    torch.set_num_threads(1)
    step(trainer)
    fresh = Trainer(short, data, tmp_path / "fresh.pt", "cpu", Hooks())
    for _ in range(reached + 1):
        step(fresh)
    assert fresh.curves.loss == trainer.curves.loss


def test_training_learns(data, tmp_path):
    curves = train(work(iterations=150, clips=4, warmup=10), data, tmp_path / "x.pt")
    assert sum(curves.loss[-10:]) < 0.8 * sum(curves.loss[:10])


def test_a_loss_that_is_not_finite_is_noticed_and_kept(data, tmp_path):
    curves = train(work(learning_rate=1e18, clip_norm=1e18), data, tmp_path / "x.pt")
    assert curves.diverged_at is not None
    assert len(curves.loss) == curves.diverged_at + 1


def test_long_trainings_keep_a_part_of_their_curves(data, tmp_path, monkeypatch):
    whole = train(work(), data, tmp_path / "a.pt")
    monkeypatch.setattr("ifc_bench.training.trainer._CURVE_POINTS", 3)
    thin = train(work(), data, tmp_path / "b.pt")
    assert thin.every == 2
    assert thin.loss == whole.loss[::2]
    assert {name: len(part) for name, part in thin.parts.items()} == dict.fromkeys(whole.parts, 3)
    diverged = train(work(learning_rate=1e18, clip_norm=1e18), data, tmp_path / "c.pt")
    assert not math.isfinite(diverged.loss[-1]), "the point that tells why is kept"


def test_rates_follow_the_schedule(data, tmp_path):
    schedule = work(warmup=1, drop_at=(3, 5), backbone_multiplier=0.5)
    trainer = Trainer(schedule, data, tmp_path / "x.pt", "cpu", Hooks())
    seen = []
    for _ in range(6):
        step(trainer)
        seen.append([group["lr"] for group in trainer.optimiser.param_groups])
    expected = [5e-4, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5]
    for (rest, backbone), rate in zip(seen, expected, strict=True):
        assert rest == pytest.approx(rate)
        assert backbone == pytest.approx(rate / 2)


def test_curve_points_are_taken_on_schedule(data, tmp_path):
    curves = train(work(curve_every=2), data, tmp_path / "x.pt", score=lambda model: 0.25)
    assert curves.accuracy == [(2, 0.25), (4, 0.25), (6, 0.25)]


def test_batches_are_a_function_of_seed_and_iteration(data):
    schedule = work().optimisation
    a, b = draw_batch(data, schedule, 0, 3), draw_batch(data, schedule, 0, 3)
    assert torch.equal(a.clips, b.clips)
    assert not torch.equal(a.clips, draw_batch(data, schedule, 0, 4).clips)
    assert a.clips.shape == (2, 3, 3, 32, 48)
    assert a.targets[0].masks.shape[1:] == (3, 8, 12)


def test_an_epoch_visits_every_video_once(data):
    schedule = work(clips=5).optimisation
    seen = set()
    for epoch in range(2):
        clips = draw_batch(data, schedule, 0, epoch).clips
        seen.add(tuple(sorted(float(c.float().mean().round()) for c in clips)))
    assert all(len(set(means)) == 5 for means in seen)


def test_a_checkpoint_of_another_training_is_refused(data, tmp_path):
    train(work(), data, tmp_path / "x.pt")
    with pytest.raises(UserError, match="work: belongs to training"):
        Trainer(work(seed=1), data, tmp_path / "x.pt", "cpu", Hooks())


def test_another_number_of_classes_is_refused(data, tmp_path):
    other = work().model_copy(update={"model": tiny_model(classes=5)})
    with pytest.raises(UserError, match=r"categories: has 3, model\.classes is 5"):
        Trainer(other, data, tmp_path / "x.pt", "cpu", Hooks())


def test_a_broken_checkpoint_is_refused(data, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        Trainer(work(), data, tmp_path / "x.pt", "cpu", Hooks())


def test_an_unfinished_training_gives_no_model(data, tmp_path):
    train(work(), data, tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    state["iteration"] = 2
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UserError, match="stopped at 2 of 6"):
        trained_model(tmp_path / "x.pt", work(), "cpu")


@pytest.mark.parametrize("at", [3, 5])
def test_a_gradient_that_is_not_finite_is_diverged_and_makes_no_step(at, data, tmp_path):
    """Iteration 5 is the last of six: nothing after it would notice weights that are no numbers."""
    trainer = Trainer(work(), data, tmp_path / "x.pt", "cpu", Hooks())
    parameter = next(p for p in trainer.model.parameters() if p.requires_grad)
    parameter.register_hook(lambda g: g * math.nan if trainer.iteration == at else g)
    curves = trainer.run()
    assert curves.diverged_at == at
    assert len(curves.loss) == at + 1
    assert all(math.isfinite(loss) for loss in curves.loss)
    state = torch.load(tmp_path / "x.pt", weights_only=True)["model"]
    assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize("curve_every", [0, 1])
def test_weights_that_are_not_finite_are_diverged(curve_every, data, tmp_path):
    """The only step is so long that it leaves float32; no loss follows it."""
    scored = []
    endless = work(iterations=1, learning_rate=3e37, weight_decay=10.0, curve_every=curve_every)
    curves = train(endless, data, tmp_path / "x.pt", score=lambda model: scored.append(1) or 0.0)
    assert math.isfinite(curves.loss[0])
    assert curves.diverged_at == 1
    assert not scored, "a model without numbers has no AP"


def test_a_training_that_is_asked_to_stop_keeps_what_it_has(data, tmp_path):
    whole = train(work(), data, tmp_path / "whole.pt")
    asked = iter([False, False, True])
    with pytest.raises(Stopped, match="kept at iteration 3 of 6"):
        train(work(), data, tmp_path / "x.pt", stopping=lambda: next(asked))
    assert torch.load(tmp_path / "x.pt", weights_only=True)["iteration"] == 3
    assert train(work(), data, tmp_path / "x.pt").loss == whole.loss
