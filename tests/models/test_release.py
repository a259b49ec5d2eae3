"""Against recorded outputs of the released network. The recordings are large and lie outside."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from ifc_bench.config import LossConfig
from ifc_bench.errors import UserError
from ifc_bench.models.checkpoint import load_released_checkpoint
from ifc_bench.models.criterion import losses
from ifc_bench.models.matcher import match
from ifc_bench.structures import Prediction, Target
from tests.conftest import ROOT

REFERENCE = ROOT.parent / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the recordings of the released model are not here"
)


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    """A checkpoint by the recordings' weight rule: every value follows from key and shape."""
    spec = importlib.util.spec_from_file_location("weights", REFERENCE / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    keys = json.loads((REFERENCE / "state_dict_keys.json").read_text())
    empty = {k: torch.zeros(v["shape"], dtype=getattr(torch, v["dtype"])) for k, v in keys.items()}
    return rule.fill(empty)


def test_the_network_is_the_released_one(released):
    """In float64 nothing is left but the recording's own float32 error (2e-4 and 7e-4)."""
    case = np.load(REFERENCE / "forward_T5_96x160.npz")
    model = load_released_checkpoint(released).double()
    with torch.no_grad():
        prediction = model(torch.from_numpy(case["inputs"])[None])
    classes, masks = (torch.from_numpy(case[k]).double() for k in ("pred_logits", "pred_masks"))
    assert (prediction.class_logits - classes).abs().max() < 3e-4
    assert (prediction.mask_logits - masks).abs().max() < 1e-3


def test_losses_and_pairs_are_the_released_ones():
    case = np.load(REFERENCE / "loss_batch2_96x160.npz")

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(case[name])

    targets = [Target(tensor(f"target{i}_labels"), tensor(f"target{i}_masks")) for i in (0, 1)]
    layers = [
        Prediction(tensor(f"{name}_logits"), tensor(f"{name}_masks"))
        for name in ("aux0", "aux1", "pred")
    ]
    whole = Prediction(layers[-1].class_logits, layers[-1].mask_logits, layers[:-1])
    parts = losses(whole, targets, LossConfig())
    recorded = {"classes": ("loss_ce", 1), "focal": ("loss_mask", 3), "dice": ("loss_dice", 3)}
    for name, (key, weight) in recorded.items():
        expected = weight * sum(float(case[key + suffix]) for suffix in ("", "_0", "_1"))
        assert parts[name].item() == pytest.approx(expected, abs=2e-5)
    for layer, name in zip(layers, ("aux0", "aux1", "final"), strict=True):
        for index, target in enumerate(targets):
            masks = torch.nn.functional.interpolate(
                layer.mask_logits[index], size=target.masks.shape[-2:], mode="bilinear"
            )
            classes = layer.class_logits[index].softmax(-1)
            queries, instances = match(classes, masks, target, 3.0)
            assert queries.tolist() == case[f"match_{name}_b{index}_src"].tolist()
            assert instances.tolist() == case[f"match_{name}_b{index}_tgt"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("detr.class_embed.layers.0.bias"),
            "heads.classify.layers.0.bias: missing",
        ),
        (lambda s: s.update({"detr.more": torch.zeros(1)}), "detr.more: left over"),
        (
            lambda s: s.update({"detr.input_proj.bias": torch.zeros(3)}),
            r"detr.input_proj.bias: has shape \[3\], the model needs \[256\]",
        ),
        (lambda s: s.clear(), "is this a checkpoint of the released IFC"),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, released):
    state = dict(released)
    change(state)
    with pytest.raises(UserError, match=message):
        load_released_checkpoint(state)


def test_a_file_with_anything_but_tensors_is_refused(tmp_path, released):
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": released}, path)
    assert not load_released_checkpoint(path).training
    torch.save({"model": ROOT}, path)
    with pytest.raises(UserError, match="not a checkpoint of tensors alone"):
        load_released_checkpoint(path)
