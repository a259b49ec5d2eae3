"""A training of ours as a checkpoint of the authors' code: the same keys, shapes and network."""

import pytest
import torch

from ifc_bench.config import (
    DecompTHW,
    InterFrame,
    ModelConfig,
    Optimisation,
    ResNetBackbone,
    SmallBackbone,
    SyntheticData,
    Training,
)
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.checkpoint import as_released, load_released_checkpoint
from ifc_bench.training.kept_weights import write_released
from tests.released import shapes

RELEASED = ModelConfig()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(RELEASED).eval()


def test_keys_and_shapes_are_those_of_a_released_checkpoint(model):
    """Those of the authors' network, as recorded; they keep a constant of the loss as well."""
    written = as_released(model.state_dict(), RELEASED, 0.1)
    found = {key: list(value.shape) for key, value in written.items()}
    found.pop("criterion.empty_weight")
    assert found == {key: shape for key, shape in shapes().items() if "empty_weight" not in key}
    weight = written["criterion.empty_weight"]
    assert weight.shape == (41,)
    assert weight[:-1].unique().tolist() == [1.0]
    assert weight[-1] == pytest.approx(0.1)


@torch.no_grad()
def test_what_is_written_is_read_back_as_the_same_network(model, tmp_path):
    training = Training(
        model=RELEASED, optimisation=Optimisation(iterations=1), data=SyntheticData(), seed=0
    )
    write_released(tmp_path / "a" / "ifc.pth", training, model.state_dict())
    assert torch.load(tmp_path / "a" / "ifc.pth", weights_only=True).keys() == {"model"}
    back = load_released_checkpoint(tmp_path / "a" / "ifc.pth")
    for key, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key
    clip = torch.randint(0, 256, (1, 2, 3, 64, 96), dtype=torch.uint8)
    assert torch.equal(back(clip).mask_logits, model(clip).mask_logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"communication": DecompTHW()}, "the released code has IFC alone, with memory tokens"),
        ({"communication": InterFrame(memory_tokens=0)}, "has IFC alone, with memory tokens"),
        ({"communication": InterFrame(grouping="unified")}, "has communication kind='ifc'"),
        ({"backbone": SmallBackbone(), "mask_stride": 4}, "a ResNet, not the backbone small"),
        ({"backbone": ResNetBackbone(depth=18)}, "ResNet-50 has 6 and ResNet-101 has 23"),
        ({"backbone": ResNetBackbone(depth=101)}, "ResNet-101 of msra's convention, not torchv"),
        ({"decoder": "decomposed"}, "has decoder unified, not decomposed"),
        ({"time_positions": True}, "has time_positions False, not True"),
        ({"heads": 4}, "has heads 8, not 4"),
    ],
)
def test_what_the_released_code_has_not_is_refused(changes, message):
    config = RELEASED.model_copy(update=changes)
    with torch.device("meta"):
        weights = build_model(config).state_dict()
    with pytest.raises(UserError) as refused:
        as_released(weights, config, 0.1)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
