"""Iterations of a dry run: the trainer's own, and the same in parts."""

import pytest
import torch

from ifc_bench.config import LossConfig, Optimisation, Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.transforms import Batch
from ifc_bench.errors import UserError
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.rehearsal import Rehearsal
from ifc_bench.training.trainer import Trainer
from tests.conftest import tiny_model

SCHEDULE = Optimisation(
    iterations=10, clips=4, clip_frames=3, sampling_range=2, learning_rate=1e-3,
    loss=LossConfig(no_object=0.4),
)  # fmt: skip


@pytest.fixture(scope="module")
def data(data_folder):
    return VideoDataset(data_folder / "train", cached_frames=1000)


@pytest.fixture
def make(data, tiny_data, tmp_path):
    def rehearsal(**changes: object) -> Rehearsal:
        schedule = SCHEDULE.model_copy(update=changes)
        work = Training(model=tiny_model(), optimisation=schedule, data=tiny_data, seed=0)
        return Rehearsal(work, data, tmp_path / "checkpoint.pt", "cpu")

    return rehearsal


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_a_whole_batch_is_the_trainers_own_iteration(make, data, tmp_path):
    rehearsal = make(iterations=2)
    for batch in rehearsal.batches():
        rehearsal.step(batch, at_a_time=4)
    trainer = Trainer(rehearsal.work, data, tmp_path / "other.pt", "cpu", Hooks())
    trainer.run()
    assert torch.equal(weights(rehearsal), weights(trainer))


def test_parts_accumulate_the_gradient_of_the_batch(make):
    """As in training (test_accumulation), also for a part of a batch."""
    one = next(make().batches()).parts(1)[0]
    twice = Batch(one.clips.repeat(2, 1, 1, 1, 1), one.targets * 2)
    found = []
    for at_a_time in (2, 1):
        rehearsal = make(clip_norm=1e6)  # so that gradients stay as they are
        before = weights(rehearsal)
        rehearsal.step(twice, at_a_time)
        found.append(torch.cat([p.grad.flatten() for p in rehearsal.model.parameters()]))
        assert not torch.equal(weights(rehearsal), before), "the optimiser's step was taken"
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-5)
    assert found[0].abs().max() > 0.1


def test_parts_keep_clips_targets_and_sizes_together():
    clips = torch.arange(5).reshape(5, 1, 1, 1, 1)
    batch = Batch(clips, list("abcde"), torch.arange(10).reshape(5, 2))
    found = batch.parts(2)
    assert [part.targets for part in found] == [["a", "b"], ["c", "d"], ["e"]]
    assert torch.equal(torch.cat([part.clips for part in found]), clips)
    assert torch.equal(torch.cat([part.valid_sizes for part in found]), batch.valid_sizes)
    assert Batch(clips, list("abcde")).parts(5)[0].valid_sizes is None


@pytest.mark.parametrize("at_a_time", [4, 1])
def test_a_loss_that_is_not_finite_is_one_line(make, at_a_time):
    rehearsal = make()
    with torch.no_grad():
        next(rehearsal.model.parameters()).fill_(torch.nan)
    with pytest.raises(UserError, match="is not finite at iteration 0 from fresh weights"):
        rehearsal.step(next(rehearsal.batches()), at_a_time)


@pytest.mark.parametrize("at_a_time", [4, 2])
def test_half_precision_skips_no_step(make, at_a_time):
    """With a real run's scale the first gradients overflow, and AdamW would have no moments."""
    rehearsal = make(precision="float16")
    assert rehearsal.moments_bytes() == 0
    rehearsal.step(next(rehearsal.batches()), at_a_time)
    trained = [p for p in rehearsal.model.parameters() if p.requires_grad]
    moments = sum(2 * p.numel() * p.element_size() for p in trained)
    assert rehearsal.moments_bytes() == pytest.approx(moments, rel=0.05)
    assert rehearsal.scaler.get_scale() == 1.0


def test_its_checkpoint_is_as_large_as_the_trainers(make, data, tmp_path):
    rehearsal = make(iterations=1)
    rehearsal.step(next(rehearsal.batches()), at_a_time=4)
    trainer = Trainer(rehearsal.work, data, tmp_path / "other.pt", "cpu", Hooks())
    trainer.run()
    assert rehearsal.save() == pytest.approx((tmp_path / "other.pt").stat().st_size, rel=0.01)
