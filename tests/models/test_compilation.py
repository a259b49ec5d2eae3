"""A network that runs compiled for a while, and with communication taken away meanwhile."""

from functools import partial

import pytest
import torch

from ifc_bench.config import FullTHW
from ifc_bench.models.build import build_model
from ifc_bench.models.compilation import compiled
from ifc_bench.models.ifc import IFC
from ifc_bench.models.knock_out import isolated
from tests.conftest import tiny_model

CLIP = torch.randint(0, 256, (3, 3, 32, 48), generator=torch.Generator().manual_seed(1)).byte()


@torch.inference_mode()
def masks(model: IFC) -> torch.Tensor:
    return model.decode([level[None] for level in model.features(CLIP)]).mask_logits


@pytest.fixture
def model() -> IFC:
    torch.manual_seed(0)
    return build_model(tiny_model(FullTHW(), encoder_layers=1, decoder_layers=1)).eval()


def test_both_parts_are_compiled_within_alone(model, monkeypatch):
    calls = []
    monkeypatch.setattr(
        torch, "compile", lambda part: lambda given: calls.append(part) or part(given)
    )
    plain = masks(model)
    with compiled(model):
        assert torch.equal(masks(model), plain)
    assert [part.__name__ for part in calls] == ["features", "decode"]
    assert torch.equal(masks(model), plain)
    assert len(calls) == 2, "not compiled any more"


def test_code_compiled_before_does_not_run_without_the_hooks_of_a_knock_out(model, monkeypatch):
    """torch.compile looks at no hooks when it decides whether compiled code fits."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    whole = masks(model)
    with isolated(model):
        alone = masks(model)
    assert (alone - whole).abs().max() > 1e-3
    with compiled(model):
        torch.testing.assert_close(masks(model), whole, atol=1e-4, rtol=0)
    with isolated(model), compiled(model):
        torch.testing.assert_close(masks(model), alone, atol=1e-4, rtol=0)
    with compiled(model):
        torch.testing.assert_close(masks(model), whole, atol=1e-4, rtol=0)
