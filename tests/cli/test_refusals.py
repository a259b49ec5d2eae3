"""Values that no option means: one line that names the option and the value, before any work."""

import json

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.cli import flops, main
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.renamed import respelled
from ifc_bench.measuring import footprints
from ifc_bench.store import Store
from ifc_bench.training.weights_file import adopt_weights

NINES = "9" * 5000
PLACES = ("--results=r", "--runs=u")
PROFILE = ("profile", "--device=cpu", *PLACES)
FIT = ("fit", "--device=cpu", "--results=r")

CASES = [
    (("flops", f"--frame-size={NINES}x1"), "has a side of more than 8192 pixels"),
    (("flops", "--frame-size=²x³"), "--frame-size: '²x³' is not HEIGHTxWIDTH"),
    (
        ("flops", "--frame-size=9999999999x64"),
        "--frame-size: '9999999999x64' has a side of more than 8192",
    ),
    (("flops", "--tokens=10000000000"), "--tokens"),
    (("flops", "--window=10000000000"), "--window"),
    ((*FIT, "--tokens=10000000000"), '--tokens: "10000000000" must be from 0 to 4096'),
    (
        (*FIT, "--frame-size=64x9999999999"),
        "--frame-size: '64x9999999999' has a side of more than 8192",
    ),
    ((*FIT, "--threads=1000000"), "--threads"),
    ((*FIT, "--clips=10000000000"), "--clips"),
    ((*FIT, "--forecast=absent"), "--forecast: absent: has no profiles with scopes"),
    (("fit", "--device=cuda:²"), "--device: 'cuda:²' is none of auto, cpu, cuda:N"),
    (("fit", f"--device=cuda:{NINES}"), "--device: 'cuda:999"),
    ((*PROFILE, "--min-seconds=0"), "--min-seconds"),
    ((*PROFILE, "--min-seconds=20", "--max-seconds=2"), "--min-seconds: 20 is more than the 2"),
    ((*PROFILE, "--max-seconds=nan"), "--max-seconds"),
    ((*PROFILE, "--max-seconds=inf"), "--max-seconds"),
    ((*PROFILE, "--target=nan"), 'Invalid value for --target: "nan" must be from 1e-06 to 1'),
    ((*PROFILE, "--target=inf"), "--target"),
    ((*PROFILE, "--target=0"), "--target"),
    ((*PROFILE, "--threads=1000000"), "--threads"),
    ((*PROFILE, "--instances=101"), "--instances: 101 is more than random weights can find, 99"),
    ((*PROFILE, "--instances=100"), "--instances: 100 is more than random weights can find, 99"),
    ((*PROFILE, f"--stride=1{'0' * 30}"), "--stride"),
    ((*PROFILE, f"--videos=1{'0' * 30}"), "--videos"),
    ((*PROFILE, "--video-length=10000000000"), "--video-length"),
    ((*PROFILE, "--processes=10000000000"), "--processes"),
    ((*PROFILE, "--expect-gpu=?"), "--expect-gpu: '?' is expected"),
    ((*PROFILE, "--expect-gpu", " "), "--expect-gpu: ' ' is empty"),
    (("run", "--threads=1000000", *PLACES), "--threads"),
    (
        ("run", "--seeds=1000000", *PLACES),
        'Invalid value for --seeds: "1000000" must be from 1 to 1000',
    ),
    (("plan", "--seeds=1000000", *PLACES), "--seeds"),
    (
        ("run", "table3a", "--preset=smoke", "--device=cpu", "--test-precision=tf32", *PLACES),
        "--test-precision: tf32 is a GPU's arithmetic; on a CPU use fp32",
    ),
    (
        ("predict", "--data=d", "--out=o", "--training=t", "--device=cpu", "--precision=tf32"),
        "--precision: tf32 is a GPU's arithmetic; on a CPU use fp32",
    ),
    (("report", "--seeds=1000000", *PLACES), "--seeds"),
    (("plan", "--short-edge=10000000000", *PLACES), "--short-edge"),
    (("plan", f"--preset={NINES}", *PLACES), "--preset: '999"),
    ((*PROFILE, "--min-seconds=1e-400"), '--min-seconds: "1e-400" must be from 0.001 to 86400'),
    (("plan", "--seeds=1.5", *PLACES), 'Invalid value for --seeds: "1.5" is not a whole number'),
    (("plan", "--seeds=٣", *PLACES), 'Invalid value for --seeds: "٣" is not a whole number'),
    (("plan", "table3a", "--window"), "--window requires at least 1 element"),
    (("data", "fly"), 'Unknown command "fly". Available commands: validate, split, synthesize'),
    (("fly",), "'fly' is not a command or a value of one; the commands: run, plan, report"),
    (
        ("run", "--window", "5", "10", "table3a"),
        '--window: "table3a" is not a whole number',
    ),
    (("flops", "--frames", "0"), "(--frames is now called --window)"),
    (("plan", "table3a", "--size=3", *PLACES), "(--size is now called --short-edge)"),
    (("flops", "--size=wide"), "'wide' is not HEIGHTxWIDTH, such as 360x640 (--size is now called"),
    (("submit", "check", "a.zip"), "submit check a.zip: submit was removed"),
    (("doctor", "--seconds=inf"), "--seconds"),
    (("evaluate", "--ground-truth=g", "--predictions=p", f"--method={NINES}"), "at most 100 char"),
    (("plan", "--workers=10000000000", *PLACES), "--workers"),
    (("plan", f"--iterations=1{'0' * 400}", *PLACES), "--iterations"),
    (("plan", "--results=", "--runs=u"), "--results: '' is empty (an unset variable?)"),
    (("plan", "", *PLACES), "an argument: '' is empty"),
    (("plan", "table\0", *PLACES), r"'table\x00' has a NUL character"),
    (("diagram", "--out=network"), "--out: 'network' does not end in .png"),
    (("diagram", "--out=.png"), "--out: '.png' does not end in .png"),
    (("flops", "--communication=non"), "none, full, decomposed, ifc, package.module:Class"),
    (("diagram", "--out=network.xyz"), "--out: 'network.xyz' does not end in .png"),
    (("attention", "--data=absent", "--video=1", "--out=a"), "--out: 'a' does not end in .png"),
    (
        ("evaluate", "--ground-truth=g", "--predictions=p", "--method=a\x1bb"),
        r"--method: 'a\x1bb' is",
    ),
    (("evaluate", "--ground-truth=\x1b[2Jg", "--predictions=p"), r"error: \x1b[2Jg: no such file"),
    (("evaluate", f"--ground-truth={NINES}", "--predictions=p"), "File name too long"),
]


@pytest.mark.parametrize(("arguments", "message"), CASES, ids=lambda x: str(x)[:40])
def test_one_line_before_any_work(refusal, arguments, message):
    assert message in refusal(*arguments)


def test_fit_writes_under_its_results_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(footprints, "predict_all", lambda works, store, tell: [])
    assert main(TABLES, PRESETS, ["fit", "--device=cpu", "--results=r"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_what_is_named_twice_is_there_once(capsys, monkeypatch):
    recipes = Recipes(TABLES, PRESETS)
    preset = recipes.preset("smoke", windows=[5, 10, 5])
    assert preset.windows == (5, 10)
    assert [table.name for table in recipes.chosen(["own", "own"], preset)] == ["own"]
    monkeypatch.setattr(flops, "_encoder_rows", lambda model, size, frames: [{"macs": frames}])
    twice = [
        "--communication",
        "none",
        "none",
        "--window",
        "2",
        "3",
        "2",
        "--frame-size",
        "8x8",
        "8x8",
    ]
    assert main(TABLES, PRESETS, ["flops", *twice, "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"macs": 2}, {"macs": 3}]


def test_memory_that_is_not_enough_is_one_line(monkeypatch, capsys):
    def too_much(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(flops, "_encoder_rows", too_much)
    assert main(TABLES, PRESETS, ["flops"]) == 2
    assert capsys.readouterr().err.startswith("error: out of memory")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x00\x01", "blob: begins with '\\x00\\x01', so it is not a JSON file of annotations"),
        (b"", "blob: is empty, so it is not a JSON file of annotations"),
        (
            b"{}",
            "--images: JPEGImages: no such directory, for the frames of blob; name the directory",
        ),
    ],
)
def test_annotations_are_looked_at_before_their_frames(refusal, tmp_path, content, told):
    (tmp_path / "blob").write_bytes(content)
    assert told in refusal("data", "validate", "blob")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name", "is no file of weights; name one that torch.save wrote"),
        (b"PK\x03\x04 and no more", "is damaged or cut off"),
        (
            b"\x80\x02}.",
            "is not a released IFC checkpoint, and ImageNet weights need a ResNet: the backbone",
        ),
    ],
)
def test_a_start_is_a_file_of_weights_that_fit(tmp_path, capsys, content, told):
    (tmp_path / "start").write_bytes(content)
    places = (f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'u'}")
    start = f"--weights={tmp_path / 'start'}"
    assert main(TABLES, PRESETS, ["plan", "table3a", "--preset=smoke", start, *places]) == 2
    assert f"--weights: {tmp_path / 'start'}: {told}" in capsys.readouterr().err


def test_a_start_needs_no_ending(tmp_path):
    torch.save({"memory_bus": torch.ones(1)}, tmp_path / "start")
    store = Store(tmp_path / "r", tmp_path / "u")
    weights = adopt_weights(tmp_path / "start", store)
    assert store.weights_path(weights).resolve() == tmp_path / "start"


def test_evaluate_says_one_thing_where_its_record_cannot_be_kept(refusal, tmp_path, data_folder):
    (tmp_path / "taken").write_text("")
    (tmp_path / "p.json").write_text("[]")
    truth = f"--ground-truth={data_folder / 'valid' / 'instances.json'}"
    given = ("--predictions=p.json", "--method=ours", "--results=taken")
    assert "taken/externals: not a directory" in refusal("evaluate", truth, *given)


def test_an_old_spelling_works_and_the_new_one_is_told(capsys):
    """Scripts go on; what was meant is said once, beside the answer."""
    old = ["flops", "--communication=none", "--frames", "2", "--size", "8x8", "--format=json"]
    assert main(TABLES, PRESETS, old) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["frames"] == 2
    told = "note: --frames is now called --window; --size is now called --frame-size"
    assert printed.err.strip() == told


@pytest.mark.parametrize("given", [["--precision", "bfloat16"], ["--precision=bfloat16"]])
def test_an_old_value_works_too(given):
    words, notes = respelled(["run", *given])
    assert "=".join(words[1:]) == "--precision=bf16"
    assert notes == ["--precision bfloat16 is now called --precision bf16"]
