"""Box-based matching (paper, Table 2(c)): DETR's, over the visible frames of a clip."""

import pytest
import torch

from ifc_bench.config import LossConfig
from ifc_bench.data.transforms import Sample, collate
from ifc_bench.models.boxes import overlap_and_distance
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import loss_names, losses
from ifc_bench.models.matcher import box_similarity, hungarian
from ifc_bench.structures import Target
from tests.conftest import tiny_model

BOXES = LossConfig(matching="boxes")


def test_equal_boxes_overlap_fully_and_invisible_frames_do_not_count():
    box = torch.tensor([0.5, 0.5, 0.2, 0.4])
    wanted = torch.stack((box, torch.zeros(4)))[None]
    found = torch.stack((box, torch.rand(4)))[None]
    overlap, distance = overlap_and_distance(found, wanted)
    assert overlap.item() == pytest.approx(1, abs=1e-5)
    assert distance.item() == 0


def test_boxes_apart_have_a_negative_generalised_overlap():
    a, b = torch.tensor([[[0.1, 0.5, 0.1, 0.1]]]), torch.tensor([[[0.9, 0.5, 0.1, 0.1]]])
    overlap, distance = overlap_and_distance(a, b)
    assert overlap.item() == pytest.approx(2 * 0.01 / 0.09 - 1, abs=1e-4)
    assert distance.item() == pytest.approx(0.8)


def test_the_nearest_box_is_matched_whatever_the_masks_say():
    wanted = torch.tensor([[[0.2, 0.2, 0.1, 0.1]], [[0.8, 0.8, 0.1, 0.1]]])
    target = Target(torch.tensor([0, 0]), torch.zeros(2, 1, 4, 4), wanted)
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.5]], [[0.79, 0.8, 0.1, 0.1]], [[0.2, 0.21, 0.1, 0.1]]])
    queries, instances = hungarian(box_similarity(torch.full((3, 2), 0.5), boxes, target, BOXES))
    assert dict(zip(queries.tolist(), instances.tolist(), strict=True)) == {1: 1, 2: 0}


def test_the_class_decides_between_equal_boxes():
    box = torch.tensor([[[0.5, 0.5, 0.2, 0.2]]])
    target = Target(torch.tensor([1]), torch.zeros(1, 1, 4, 4), box)
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    queries, _ = hungarian(box_similarity(probabilities, box.expand(2, -1, -1), target, BOXES))
    assert queries.tolist() == [1]


def test_boxes_come_from_masks_as_fractions_of_the_frame():
    masks = torch.zeros(1, 2, 40, 80, dtype=torch.bool)
    masks[0, 0, 10:20, 20:60] = True  # visible in the first frame only
    frames = torch.zeros(2, 3, 40, 80, dtype=torch.uint8)
    batch = collate([Sample(frames, torch.tensor([0]), masks)], 4, boxes=True)
    boxes = batch.targets[0].boxes
    assert boxes[0, 0].tolist() == pytest.approx([0.5, 0.375, 0.5, 0.25])
    assert boxes[0, 1].tolist() == [0, 0, 0, 0]
    assert (
        collate([Sample(frames, torch.tensor([0]), masks)], 4, boxes=False).targets[0].boxes is None
    )


def test_box_losses_are_trained_and_absent_in_evaluation():
    torch.manual_seed(0)
    model = build_model(tiny_model(box_frames=2)).train()
    clip = torch.randint(0, 256, (1, 2, 3, 32, 48), dtype=torch.uint8)
    masks = torch.zeros(1, 2, 32, 48, dtype=torch.bool)
    masks[:, :, 4:20, 8:30] = True
    sample = Sample(clip[0], torch.tensor([1]), masks)
    targets = collate([sample], 4, boxes=True).targets
    prediction = model(clip)
    assert prediction.boxes.shape == (1, 6, 2, 4)
    parts = losses(prediction, targets, BOXES)
    assert tuple(parts) == loss_names(BOXES) == ("classes", "focal", "dice", "box_l1", "box_giou")
    sum(parts.values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.heads.locate.parameters())
    assert model.eval()(clip).boxes is None


def test_empty_clips_have_no_box_loss():
    model = build_model(tiny_model(box_frames=2)).train()
    clip = torch.zeros(1, 2, 3, 32, 48, dtype=torch.uint8)
    empty = Target(
        torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, 8, 12), torch.zeros(0, 2, 4)
    )
    parts = losses(model(clip), [empty], BOXES)
    assert parts["box_l1"] == parts["box_giou"] == 0
    assert parts["classes"] > 0
