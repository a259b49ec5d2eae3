"""Deterministic, resumable to the bit, honest about losses that are none."""

import errno
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from ifc_bench.config import Optimisation, SyntheticData, Training
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.errors import Stopped, UserError, told
from ifc_bench.training.checkpoint import finished_weights, trained_model
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.trainer import Trainer
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


def stopped_after(iterations: int, data: VideoDataset, path: Path) -> None:
    """Train, with a checkpoint after every iteration, and break off in the one after these."""

    def stop(done: int, loss: float) -> None:
        if done > iterations:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(work(), data, path, progress=stop, checkpoint_every=0.0)
    assert torch.load(path, weights_only=True)["iteration"] == iterations


def test_resume_in_the_middle_is_the_same_curve_to_the_bit(data, tmp_path):
    whole = train(work(), data, tmp_path / "whole.pt")

    path = tmp_path / "parts.pt"
    stopped_after(3, data, path)
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
    monkeypatch.setattr("ifc_bench.config.training._CURVE_POINTS", 3)
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


def test_a_linear_decay_ends_at_zero(data, tmp_path):
    """Warm-up over two of six iterations, then 4/4, 3/4, 2/4 and 1/4; drops apply as well."""
    trainer = Trainer(
        work(warmup=2, decay="linear", drop_at=(5,)), data, tmp_path / "x.pt", "cpu", Hooks()
    )
    seen = []
    for _ in range(6):
        step(trainer)
        seen.append(trainer.optimiser.param_groups[0]["lr"] / 1e-3)
    assert seen == pytest.approx([1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 0.1 / 4])


def test_averaged_weights_by_hand(data, tmp_path):
    """At first the weights, then three quarters of the average and a quarter of the new."""
    trainer = Trainer(work(average=0.75), data, tmp_path / "x.pt", "cpu", Hooks())
    expected = None
    for _ in range(4):
        step(trainer)
        new = trainer.model.state_dict()["decoder.query_positions"].clone()
        expected = new if expected is None else 0.75 * expected + 0.25 * new
    assert trainer.average is not None
    found = trainer.average.module.state_dict()["decoder.query_positions"]
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, new)


def test_averaged_weights_are_the_final_ones_and_resume_to_the_bit(data, tmp_path):
    whole = work(average=0.9)
    train(whole, data, tmp_path / "whole.pt")

    def stop(done: int, loss: float) -> None:
        if done == 4:
            raise StoppedError

    path = tmp_path / "parts.pt"
    with pytest.raises(StoppedError):
        train(whole, data, path, progress=stop, checkpoint_every=0.0)
    train(whole, data, path)
    a, b = (finished_weights(p, whole) for p in (tmp_path / "whole.pt", path))
    assert all(torch.equal(a[key], b[key]) for key in a)
    raw = torch.load(path, weights_only=True)["model"]
    assert not torch.equal(raw["decoder.query_positions"], a["decoder.query_positions"])
    plain = work()
    train(plain, data, tmp_path / "plain.pt")
    assert torch.equal(
        finished_weights(tmp_path / "plain.pt", plain)["decoder.query_positions"],
        raw["decoder.query_positions"],
    ), "averaging changes nothing in training"


def test_training_in_float32_uses_no_tf32(data, tmp_path, tf32):
    """torch has it on in cuDNN, and a test in tf32 before it in this process may leave it on."""
    seen = []
    train(work(iterations=1), data, tmp_path / "a.pt", start=lambda model: seen.append(tf32()),
          progress=lambda *_: seen.append(tf32()))  # fmt: skip
    assert seen == [(False, False)] * 2


def test_the_wait_for_batches_is_a_part_of_the_time(data, tmp_path, monkeypatch):
    """Without loader processes each batch is waited for; here drawing one takes 50 ms."""
    from ifc_bench.data import loading

    def slow(*given, draw=loading.draw_batch):
        time.sleep(0.05)
        return draw(*given)

    monkeypatch.setattr(loading, "draw_batch", slow)
    curves = train(work(), data, tmp_path / "a.pt")
    count = work().optimisation.iterations
    assert 0.05 * count < curves.waiting < curves.seconds


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


def test_a_broken_checkpoint_is_set_aside(data, tmp_path, capsys):
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    assert Trainer(work(), data, tmp_path / "x.pt", "cpu", Hooks()).iteration == 0
    assert (tmp_path / "x.damaged").read_bytes() == b"nonsense"
    assert not (tmp_path / "x.pt").exists()
    assert "not a readable checkpoint" in capsys.readouterr().err


def test_the_checkpoint_before_a_damaged_one_is_used(data, tmp_path):
    """Cut off, as after a crash of the machine; the end is the same to the bit."""
    whole = train(work(), data, tmp_path / "whole.pt")

    path = tmp_path / "x.pt"
    stopped_after(4, data, path)
    path.write_bytes(path.read_bytes()[:5000])
    assert Trainer(work(), data, path, "cpu", Hooks()).iteration == 3
    assert train(work(), data, path).loss == whole.loss
    assert sorted(p.name for p in tmp_path.glob("x.*")) == ["x.damaged", "x.pt"]


def test_a_final_checkpoint_has_no_state_of_the_optimiser(data, tmp_path):
    sizes = {}

    path = tmp_path / "x.pt"
    stopped_after(4, data, path)
    sizes["on the way"] = path.stat().st_size
    curves = train(work(), data, path)
    sizes["final"] = path.stat().st_size
    assert sizes["final"] < 0.5 * sizes["on the way"], "two moments a weight have gone"
    assert train(work(), data, path).loss == curves.loss, "it is not trained further"
    assert finished_weights(path, work())


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory) -> Path:
    """A finished training's."""
    path = tmp_path_factory.mktemp("finished") / "x.pt"
    train(work(), data, path)
    return path


def flipped(path: Path, at: int) -> bytes:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    return bytes(content)


def test_one_flipped_bit_of_a_weight_is_noticed(data, checkpoint, tmp_path):
    """torch itself would load it without a word."""
    with zipfile.ZipFile(checkpoint) as archive:
        weights = [member for member in archive.infolist() if "/data/" in member.filename]
        inside = archive.read(max(weights, key=lambda member: member.file_size))[:64]
    path = tmp_path / "x.pt"
    path.write_bytes(flipped(checkpoint, checkpoint.read_bytes().index(inside) + 40))
    torch.load(path, weights_only=True)
    with pytest.raises(UserError, match=r"checksum of .*delete it to train again") as caught:
        trained_model(path, work(), "cpu")
    assert str(caught.value).startswith(f"{path}: ")
    assert Trainer(work(), data, path, "cpu", Hooks()).iteration == 0, "nothing of it is used"


def test_wherever_a_bit_flips_no_other_weights_are_loaded(checkpoint, tmp_path):
    sound = finished_weights(checkpoint, work())
    path = tmp_path / "x.pt"
    size = checkpoint.stat().st_size
    refused = 0
    for at in range(7, size, size // 30):
        path.write_bytes(flipped(checkpoint, at))
        try:
            weights = finished_weights(path, work())
        except UserError:
            refused += 1
        else:  # between two members of the zip
            assert all(torch.equal(weights[key], sound[key]) for key in sound)
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "not a checkpoint of a training run"),
        ({"work": "x"}, "not a checkpoint of a training run, which has curves, iteration, model"),
        ({"model": torch.ones(3)}, "not a checkpoint of a training run"),
        ({"model": {"memory": torch.ones(3)}}, "model: does not match the network"),
        ({"model": {"memory": 3}}, "model: memory: has int, expected a name with a tensor"),
        ({"model": {7: torch.ones(3)}}, "model: 7: has Tensor, expected a name"),
        ({"model": {"m": torch.ones(3, dtype=torch.complex64)}}, "model: m: has complex"),
        ({"model": {"m": torch.ones(3).to_sparse()}}, "model: m: is sparse, quantised or"),
        ({"model": {"m": torch.ones(3, device="meta")}}, "model: m: is sparse, quantised or"),
        ({"model": {"m": torch.ones(1).as_strided((9**9,), (0,))}}, "model: m: has shape"),
        ({"work": "0" * 16}, "work: belongs to training 0000000000000000"),
        ({"iteration": "6"}, "not a checkpoint of a training run"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_line(content, message, checkpoint, tmp_path):
    if isinstance(content, dict) and content != {"work": "x"}:
        content = torch.load(checkpoint, weights_only=True) | content
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=message) as caught:
        trained_model(tmp_path / "x.pt", work(), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(value, checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=True)
    state["model"]["memory"][0, 0] = value
    torch.save(state, tmp_path / "x.pt")
    message = rf"x\.pt: model: memory: has numbers that are not finite.*{work().id}\.json"
    with pytest.raises(UserError, match=message):
        trained_model(tmp_path / "x.pt", work(), "cpu")


def test_a_full_disk_is_told_by_the_checkpoint_and_leaves_nothing(data, tmp_path, monkeypatch):
    """The system refuses in the middle of the file; torch itself speaks of positions."""
    path = tmp_path / "x.pt"
    trainer = Trainer(work(), data, path, "cpu", Hooks())
    trainer._save()
    before = path.read_bytes()
    usual = Path.open

    def small(self: Path, *mode: str, **others: object) -> object:
        file = usual(self, *mode, **others)
        return Full(file) if self.suffix == ".partial" else file

    monkeypatch.setattr(Path, "open", small)
    with pytest.raises(OSError, match="No space left on device") as caught:
        trainer._save()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert told(caught.value) is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pt", "x.unfinished"]
    assert path.read_bytes() == before


class Full:
    """A file on a disk with room for a kilobyte."""

    def __init__(self, file) -> None:
        self.file, self.left = file, 1000

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> int:
        self.left -= len(content)
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return self.file.fileno()


def test_what_is_moved_into_place_is_on_the_disk(data, tmp_path, monkeypatch):
    """Else a machine that stops could leave a name without its content."""
    trainer = Trainer(work(), data, tmp_path / "x.pt", "cpu", Hooks())
    steps = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda n: (steps.append("sync"), sync(n)))
    monkeypatch.setattr("os.replace", lambda a, b: (steps.append(str(b)), replace(a, b)))
    trainer._save()
    assert steps == ["sync", str(tmp_path / "x.pt"), "sync"], "the last one is of the directory"


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


def test_a_stop_in_a_point_of_the_ap_curve_keeps_what_there_is(data, tmp_path):
    """The point is made when the training goes on."""
    schedule = work(curve_every=3)
    whole = train(schedule, data, tmp_path / "whole.pt", score=lambda model: 0.25)
    assert whole.accuracy == [(3, 0.25), (6, 0.25)]

    def stop(model) -> float:
        raise Stopped("in the middle of a video")

    with pytest.raises(Stopped, match="kept at iteration 3 of 6"):
        train(schedule, data, tmp_path / "x.pt", score=stop)
    found = train(schedule, data, tmp_path / "x.pt", score=lambda model: 0.25)
    assert (found.loss, found.accuracy) == (whole.loss, whole.accuracy)


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_frame_that_cannot_be_read_is_one_line(loaders, data_folder, tmp_path):
    broken = Path(shutil.copytree(data_folder / "train", tmp_path / "train"))
    for frame in (broken / "JPEGImages").rglob("*.jpg"):
        frame.write_bytes(b"no picture")
    with pytest.raises(UserError) as refused:
        train(work(), VideoDataset(broken), tmp_path / "x.pt", loaders=loaders)
    assert len(str(refused.value).splitlines()) == 1
    assert "Traceback" not in str(refused.value)
    assert ".jpg" in str(refused.value)
