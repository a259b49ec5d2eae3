"""A communication module of a user's own: named, built, kept apart from other code of its name."""

import hashlib
import sys

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.config import NoComm, Optimisation, OwnModule, SyntheticData, Training, spoken
from ifc_bench.errors import UserError
from ifc_bench.measuring.isolation import in_process
from ifc_bench.models import own
from ifc_bench.models.build import build_model
from ifc_bench.models.own import own_module
from ifc_bench.provenance import provenance
from ifc_bench.records import Record, TrainingResult
from ifc_bench.store import Store
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
    named = own_module("reversing:Reversed")
    assert spoken(named) == "Reversed"
    torch.manual_seed(0)
    plain = build_model(tiny_model(NoComm())).eval()
    torch.manual_seed(0)
    model = build_model(tiny_model(named)).eval()
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
    with pytest.raises(UserError, match="has changed since this work was defined"):
        build_model(tiny_model(before))


def test_a_changed_file_is_read_again(module):
    """As in a notebook, which keeps what it has imported."""
    tokens, memory = torch.randn(1, 3, 6, 16), torch.zeros(1, 3, 0, 16)

    def across():
        made = build_model(tiny_model(own_module("reversing:Reversed"))).communication
        return made.across(0, tokens, memory, None)[0]

    assert torch.equal(across(), tokens.flip(1))
    module.write_text(CODE.replace("frames.flip(1)", "frames"))
    assert torch.equal(across(), tokens)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere_to_be_found:Reversed", "Python finds no module 'nowhere_to_be_found'"),
        ("no.such.package:Reversed", "Python finds no module"),
        ("reversing", "is not a package.module:Class"),
        ("reversing:", "is not a package.module:Class"),
        (":Reversed", "Python finds no module"),
        ("sys:path", "Python finds no module 'sys'"),
    ],
)
def test_a_bad_name_is_told(module, source, told):
    with pytest.raises(UserError, match=told):
        own_module(source)


def test_what_is_no_communication_is_refused(module):
    with pytest.raises(UserError, match="is not a subclass of"):
        build_model(tiny_model(own_module("reversing:NOT_A_CLASS")))


def test_naming_a_module_runs_nothing_of_it(module):
    module.write_text("raise SystemExit('ran')\nclass Reversed: pass\n")
    assert isinstance(own_module("reversing:Reversed"), OwnModule)
    with pytest.raises(UserError, match="has no class Reverse; it has: Reversed"):
        own_module("reversing:Reverse")


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import torch\n    class Other: pass\nexcept ImportError:\n    Other = None\n",
        "from reversing_too import Other\n",
        "import reversing_too as Other\n",
        "from reversing_too import *\n",
        "Other = make('Other')\n",
        "def __getattr__(name): ...\n",
    ],
)
def test_a_class_may_come_from_anywhere_in_its_module(module, code):
    module.write_text(code)
    assert own_module("reversing:Other").source == "reversing:Other"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "the module reversing has no class Other; it has: none"),
        ("class A:\n    class Other: pass\nclass B: pass\n", "no class Other; it has: A, B"),
        ("def f():\n    Other = 3\n", "has no class Other; it has: none"),
        ("import Other.more as less\n", "has no class Other"),
        ("class Other(:\n", r"reversing\.py:1: SyntaxError: invalid syntax; the module"),
        ("\0", "the module reversing is not valid Python"),
    ],
)
def test_a_class_that_is_not_there_is_told_before_anything_runs(module, code, told):
    module.write_text(code)
    with pytest.raises(UserError, match=told):
        own_module("reversing:Other")


MARKS = CODE + "\nfrom pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"


@pytest.fixture
def from_elsewhere(module, monkeypatch) -> OwnModule:
    """What a record of somebody else's names; nobody here did."""
    monkeypatch.setattr(own, "_NAMED", set())
    module.write_text(MARKS)
    named = own_module("reversing:Reversed")
    monkeypatch.setattr(own, "_NAMED", set())
    return named


def test_what_a_record_names_is_not_imported(module, from_elsewhere):
    with pytest.raises(UserError, match=r"'reversing:Reversed', .*--own reversing:Reversed"):
        build_model(tiny_model(from_elsewhere))
    assert not module.with_suffix(".ran").exists()
    assert "reversing" not in sys.modules
    own_module("reversing:Reversed")
    build_model(tiny_model(from_elsewhere))
    assert module.with_suffix(".ran").exists()


def test_a_package_around_it_is_not_imported_either(module, monkeypatch):
    """To find a module in a package, Python runs the package."""
    package = module.parent / "around"
    package.mkdir()
    (package / "__init__.py").write_text(MARKS)
    (package / "inner.py").write_text(CODE)
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    with pytest.raises(UserError, match="imported only if you name it"):
        build_model(tiny_model(OwnModule(source="around.inner:Reversed", sha256=digest)))
    assert not (package / "__init__.ran").exists()


def _built(*modules: OwnModule) -> list[str]:
    """What each becomes: a network, or a refusal."""
    found = []
    for module in modules:
        try:
            found.append(type(build_model(tiny_model(module)).communication).__name__)
        except UserError as error:
            found.append(str(error).partition(": ")[2][:16])
    return found


def test_what_was_named_here_may_be_imported_in_processes_started_here(module, from_elsewhere):
    other = from_elsewhere.model_copy(update={"source": "reversing:NOT_A_CLASS"})
    own_module("reversing:Reversed")
    assert in_process(_built, other, from_elsewhere) == ["this work uses y", "Reversed"]
    assert module.with_suffix(".ran").exists()


@pytest.fixture
def trained(from_elsewhere, tmp_path) -> Training:
    """A record and a checkpoint under `tmp_path` of a training with the module."""
    own.let_import(["reversing:Reversed"])
    network = tiny_model(from_elsewhere)
    work = Training(
        model=network, optimisation=Optimisation(iterations=1), data=SyntheticData(), seed=0
    )
    store = Store(tmp_path / "results", tmp_path / "runs")
    result = TrainingResult(
        loss=[1], loss_parts={}, accuracy_curve=[], parameters=1, wall_seconds=1
    )
    store.save(
        Record(id=work.id, status="ok", work=work, attention="materialised", split_hash=None,
               provenance=provenance("cpu", 1), result=result)
    )  # fmt: skip
    state = build_model(network).state_dict()
    path = store.checkpoint_path(work)
    path.parent.mkdir(parents=True)
    parts = {"work": work.id, "iteration": 1, "model": state, "optimiser": {}, "curves": {}}
    torch.save(parts, path)
    own._NAMED.clear()
    del sys.modules["reversing"]
    (tmp_path / "reversing.ran").unlink()
    return work


@pytest.mark.parametrize(
    "command",
    [["predict", "--window=3"], ["attention", "--video=1", "--window=3"]],
    ids=lambda c: c[0],
)
def test_commands_import_only_what_own_names(command, trained, data_folder, tmp_path, capsys):
    mark = tmp_path / "reversing.ran"
    given = [
        *command, f"--training={trained.id}", f"--data={data_folder / 'valid'}",
        f"--out={tmp_path / 'out.png'}", f"--results={tmp_path / 'results'}",
        f"--runs={tmp_path / 'runs'}",
    ]  # fmt: skip
    assert main(TABLES, PRESETS, given) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: communication: this work uses your module")
    assert "--own reversing:Reversed" in told
    assert told.count("\n") == 1
    assert not mark.exists()
    assert main(TABLES, PRESETS, [*given, "--own=reversing:Reverse"]) == 2
    assert "has no class Reverse; it has: Reversed" in capsys.readouterr().err
    assert not mark.exists()
    code = main(TABLES, PRESETS, [*given, "--own=reversing:Reversed"])
    assert mark.exists()
    told = capsys.readouterr().err
    if command[0] == "predict":
        assert code == 0
    else:  # it has no memory tokens whose attention could be drawn
        assert "memory" in told


def test_a_bad_name_on_the_command_line_is_one_line():
    done = run_cli("flops", "--communication=nowhere_to_be_found:X", "--window=5")
    assert "Python finds no module 'nowhere_to_be_found'" in one_line_error(done)
