"""A communication module of a user's own: named, built, kept apart from other code of its name."""

import sys

import pytest
import torch

from ifc_bench.config import NoComm, OwnModule, spoken
from ifc_bench.errors import UserError
from ifc_bench.models.build import build_model
from ifc_bench.models.own import own_module
from tests.conftest import one_line_error, run_cli, tiny_model

CODE = '''
from ifc_bench.models.communication import Communication


class Reversed(Communication):
    """Each frame gives its tokens to the frame that mirrors it in time."""

    def across(self, block, frames, memory, padding):
        return frames.flip(1), memory


NOT_A_CLASS = 3
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "reversing.py"
    path.write_text(CODE)
    yield path
    sys.modules.pop("reversing", None)


def test_it_stands_where_the_others_stand(module):
    own = own_module("reversing:Reversed")
    assert spoken(own) == "Reversed"
    torch.manual_seed(0)
    plain = build_model(tiny_model(NoComm())).eval()
    torch.manual_seed(0)
    model = build_model(tiny_model(own)).eval()
    clip = torch.rand(1, 3, 3, 32, 48) * 255
    # Three blocks reverse time three times: for No Comm's encoder, once.
    tokens, memory = torch.randn(1, 3, 6, 16), torch.zeros(1, 3, 0, 16)
    places = torch.zeros_like(tokens)
    ours, _ = model.communication(tokens, memory, places, memory)
    theirs, _ = plain.communication(tokens, memory, places, memory)
    torch.testing.assert_close(ours, theirs.flip(1))
    assert torch.isfinite(model(clip).mask_logits).all()


def test_other_code_is_other_work(module):
    before = own_module("reversing:Reversed")
    module.write_text(CODE + "\n# changed\n")
    assert own_module("reversing:Reversed").sha256 != before.sha256
    with pytest.raises(UserError, match="is not what it was"):
        build_model(tiny_model(before))


def test_a_changed_file_is_read_again(module):
    """As in a notebook, which keeps what it has imported."""
    tokens, memory = torch.randn(1, 3, 6, 16), torch.zeros(1, 3, 0, 16)

    def across():
        own = build_model(tiny_model(own_module("reversing:Reversed"))).communication
        return own.across(0, tokens, memory, None)[0]

    assert torch.equal(across(), tokens.flip(1))
    module.write_text(CODE.replace("frames.flip(1)", "frames"))
    assert torch.equal(across(), tokens)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere_to_be_found:Reversed", "Python finds no module 'nowhere_to_be_found'"),
        ("no.such.package:Reversed", "Python finds no module"),
        ("reversing", "no package.module:Class"),
        ("reversing:", "no package.module:Class"),
        (":Reversed", "Python finds no module"),
        ("sys:path", "Python finds no module 'sys'"),
    ],
)
def test_a_bad_name_is_told(module, source, told):
    with pytest.raises(UserError, match=told):
        own_module(source)


def test_what_is_no_communication_is_refused(module):
    for name in ("NOT_A_CLASS", "Missing"):
        with pytest.raises(UserError, match="is no subclass of"):
            build_model(tiny_model(own_module(f"reversing:{name}")))


def test_naming_a_module_runs_nothing_of_it(module):
    module.write_text("raise SystemExit('ran')\n")
    assert isinstance(own_module("reversing:Reversed"), OwnModule)


def test_a_bad_name_on_the_command_line_is_one_line():
    done = run_cli("flops", "--communication=nowhere_to_be_found:X", "--frames=5")
    assert "Python finds no module 'nowhere_to_be_found'" in one_line_error(done)
