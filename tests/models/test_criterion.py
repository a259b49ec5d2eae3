"""The loss and the matcher, by meaning."""

import pytest
import torch

from ifc_bench.config import LossConfig
from ifc_bench.models.criterion import losses
from ifc_bench.models.matcher import match
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
