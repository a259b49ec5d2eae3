"""A batch in parts has the loss and the gradient of the whole batch, dropout included."""

from pathlib import Path

import pytest
import torch

from ifc_bench.config import LossConfig, Optimisation, SyntheticData, Training
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.models.dropout import Dropout, of_clips
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.trainer import Trainer
from tests.conftest import tiny_model


@pytest.fixture(scope="module")
def data(data_folder: Path) -> VideoDataset:
    return VideoDataset(data_folder / "train", cached_frames=1000)


def work(attention: str = "materialised", **loss: object) -> Training:
    schedule = Optimisation(
        iterations=3, clips=5, clip_frames=3, sampling_range=4, learning_rate=1e-3, clip_norm=1e6,
        loss=LossConfig(no_object=0.1, **loss),
    )  # fmt: skip
    model = tiny_model(dropout=0.3).model_copy(update={"attention": attention})
    if loss.get("matching") == "boxes":
        model = model.model_copy(update={"box_frames": 3})
    return Training(model=model, optimisation=schedule, data=SyntheticData(), seed=0)


def stepped(
    work: Training, data: VideoDataset, path: Path, at_once: int | None, exact: bool = True
) -> tuple[float, dict[str, float], torch.Tensor]:
    """Loss, its terms and the gradient of the first iteration; `exact`: in float64."""
    trainer = Trainer(work, data, path, "cpu", Hooks(clips_at_once=at_once))
    if exact:
        trainer.model.double()
    trainer._step(work.optimisation, draw_batch(data, work.optimisation, work.seed, 0))
    assert trainer.iteration == 1
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    return trainer.loss, trainer.parts, gradient


@pytest.mark.parametrize("attention", ["materialised", "math"])
@pytest.mark.parametrize("matching", ["masks", "boxes"])
def test_parts_add_up_to_the_batch(attention, matching, data, tmp_path):
    """Clips have unequal numbers of instances, so no part could know the normalisers."""
    loss, terms, gradient = stepped(work(attention, matching=matching), data, tmp_path / "x", None)
    assert gradient.abs().max() > 0.01
    for at_once in (1, 2, 4):
        found = stepped(work(attention, matching=matching), data, tmp_path / "x", at_once)
        assert found[0] == pytest.approx(loss, rel=1e-6)
        assert found[1] == pytest.approx(terms, rel=1e-6)
        torch.testing.assert_close(found[2], gradient, rtol=1e-6, atol=1e-8)


def test_a_whole_batch_is_as_before_to_the_bit(data, tmp_path):
    plain = stepped(work(), data, tmp_path / "x", None, exact=False)
    for at_once in (5, 100):
        found = stepped(work(), data, tmp_path / "x", at_once, exact=False)
        assert found[:2] == plain[:2]
        assert torch.equal(found[2], plain[2])


def test_without_dropout_by_clip_the_parts_would_differ(data, tmp_path, monkeypatch):
    from contextlib import nullcontext

    monkeypatch.setattr(Trainer, "_draws", lambda self, seeds: nullcontext())
    whole, parts = (stepped(work(), data, tmp_path / "x", n)[0] for n in (None, 2))
    assert whole != pytest.approx(parts, rel=1e-3)


def test_dropout_of_a_clip_is_that_clips_own():
    layer, x = Dropout(0.25), torch.ones(6, 40_000, requires_grad=True)
    with of_clips([3, 4, 5], torch.device("cpu")):
        both = layer(x), layer(x)
    with of_clips([4], torch.device("cpu")):
        alone = layer(x[2:4]), layer(x[2:4])
    for here, there in zip(both, alone, strict=True):
        assert torch.equal(here[2:4], there)
        assert here.detach().unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert (here == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert not torch.equal(*both), "each call draws anew"
    assert not torch.equal(both[0][:2], both[0][2:4]), "and each clip"
    both[0].sum().backward()
    assert torch.equal(x.grad == 0, both[0] == 0)
    with of_clips([4], torch.device("cpu")):
        assert torch.equal(layer.eval()(x), x)
