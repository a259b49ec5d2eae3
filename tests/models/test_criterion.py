"""The loss and the matcher, by meaning."""

from dataclasses import replace

import pytest
import torch

from ifc_bench.config import LossConfig
from ifc_bench.models.criterion import losses
from ifc_bench.models.matcher import hungarian, hungarian_all, match
from ifc_bench.structures import Prediction, Target

K, Q, T, H, W = 3, 5, 2, 6, 8


def target(*classes: int) -> Target:
    masks = torch.zeros(len(classes), T, H, W)
    for index in range(len(classes)):
        masks[index, :, :, 2 * index : 2 * index + 2] = 1
    return Target(torch.tensor(classes, dtype=torch.int64), masks)


def perfect(truth: Target) -> Prediction:
    """Instance i answered by query Q - 1 - i."""
    classes = torch.zeros(1, Q, K + 1)
    classes[..., -1] = 20
    masks = torch.full((1, Q, T, H, W), -20.0)
    for index, label in enumerate(truth.classes):
        classes[0, Q - 1 - index] = 0
        classes[0, Q - 1 - index, label] = 20
        masks[0, Q - 1 - index] = truth.masks[index] * 40 - 20
    return Prediction(classes, masks)


def test_a_perfect_prediction_costs_nothing():
    truth = target(0, 2)
    parts = losses(perfect(truth), [truth], LossConfig())
    assert sum(parts.values()).item() < 1e-3


def test_the_matcher_finds_the_right_queries():
    truth = target(0, 2)
    answer = perfect(truth)
    queries, instances = match(
        answer.class_logits[0].softmax(-1), answer.mask_logits[0], truth, 3.0
    )
    assert dict(zip(queries.tolist(), instances.tolist(), strict=True)) == {4: 0, 3: 1}


def test_a_clip_without_instances_teaches_no_object_only():
    prediction = Prediction(torch.zeros(1, Q, K + 1), torch.randn(1, Q, T, H, W))
    parts = losses(prediction, [target()], LossConfig())
    assert parts["classes"] > 0
    assert parts["focal"] == parts["dice"] == 0


def test_auxiliary_layers_add_up():
    truth = target(1)
    one = Prediction(torch.randn(1, Q, K + 1), torch.randn(1, Q, T, H, W))
    three = Prediction(one.class_logits, one.mask_logits, [one, one])
    single = losses(one, [truth], LossConfig())
    triple = losses(three, [truth], LossConfig())
    for name in single:
        assert triple[name].item() == pytest.approx(3 * single[name].item(), rel=1e-5)


def test_masks_are_upsampled_to_the_supervision_stride():
    truth = target(1)
    coarse = Prediction(torch.randn(1, Q, K + 1), torch.randn(1, Q, T, H // 2, W // 2))
    assert torch.isfinite(sum(losses(coarse, [truth], LossConfig()).values()))


def test_weights_scale_their_parts():
    torch.manual_seed(0)
    truth = target(1)
    prediction = Prediction(torch.randn(1, Q, K + 1), torch.randn(1, Q, T, H, W))
    base = losses(prediction, [truth], LossConfig())
    double = losses(prediction, [truth], LossConfig(dice=6.0, focal=6.0))
    assert double["dice"].item() == pytest.approx(2 * base["dice"].item())
    assert double["focal"].item() == pytest.approx(2 * base["focal"].item())
    assert double["classes"].item() == pytest.approx(base["classes"].item())


def test_all_layers_and_clips_are_matched_after_one_wait(monkeypatch):
    """Each matrix has the assignment that it has alone, and one copy comes to the host."""
    torch.manual_seed(0)
    matrices = [torch.rand(5, 3), torch.rand(4, 4), torch.rand(3, 0), torch.rand(2, 6)]
    alone = [hungarian(one) for one in matrices]
    copies = []
    real = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: (copies.append(self.shape), real(self))[1]
    )
    together = hungarian_all(matrices)
    assert len(copies) == 1
    for pair, other in zip(together, alone, strict=True):
        assert torch.equal(pair[0], other[0])
        assert torch.equal(pair[1], other[1])
    assert [len(queries) for queries, _ in together] == [3, 4, 0, 2]


def test_the_loss_waits_once_a_layer(monkeypatch):
    prediction = Prediction(torch.randn(2, 4, 3), torch.randn(2, 4, 2, 4, 4))
    prediction = replace(prediction, auxiliary=[prediction, prediction])
    targets = [Target(torch.tensor([0, 1]), torch.rand(2, 2, 4, 4).round()) for _ in range(2)]
    copies = []
    real = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: (copies.append(self.shape), real(self))[1]
    )
    found = losses(prediction, targets, LossConfig())
    assert len(copies) == 3, "three layers of two clips"
    one_by_one = losses(prediction, targets, LossConfig(), assign=hungarian)
    assert {name: value.item() for name, value in found.items()} == {
        name: value.item() for name, value in one_by_one.items()
    }
