"""`profile`, `fit` and `--expect-gpu` through the real command line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, one_line_error, run_cli

SMALL = ["--frame-size", "32x48", "--video-length", "3", "--processes", "1", "--min-passes", "1",
         "--min-seconds", "0.01", "--max-seconds", "0.01", "--warm-up-seconds", "0.01"]  # fmt: skip


def test_profile_on_this_processor(tmp_path):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    options = ["--communication", "none", "ifc", "--window", "2", "--device", "cpu", *SMALL, *where]
    done = run_cli("profile", *options)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "| none" in line or "| ifc M=8" in line]
    assert len(lines) == 2
    assert "measured on a CPU; no number here is a GPU's" in done.stdout
    assert "paper FPS" not in done.stdout
    assert (tmp_path / "r" / "tables" / "profile.md").read_text() == done.stdout.rstrip("\n") + "\n"
    assert len(list((tmp_path / "r" / "profiles").glob("*.json"))) == 2
    assert len(list((tmp_path / "r" / "counts").glob("*.json"))) == 2, "what a clip costs"
    again = run_cli("profile", *options, "--format", "json")
    assert "processes" not in again.stderr, "what has a record is not measured again"
    rows = json.loads(again.stdout)["values"]
    assert {row["variant"] for row in rows} == {"ifc M=8", "none"}
    assert len({row["content"] for row in rows}) == 1, "tracker and output had equal work"
    assert "equal work: tracker and output are given the same" in done.stdout
    for row in rows:  # their order is noise where a pass takes 10 ms
        assert min(row["network_fps"], row["masks_fps"], row["results_fps"]) > 0
        assert (row["end"], row["fps"]) == ("to masks", row["masks_fps"])
    columns = [
        name.strip() for name in done.stdout.partition("| device")[2].splitlines()[0].split("|")
    ]
    assert {"network", "to masks", "to results.json", "run_lengths"} <= set(columns)
    assert {row["fps_with_reading"] for row in rows} == {None}, "noise is made, not read"


def test_processes_are_added_until_the_interval_is_narrow(tmp_path):
    """0.1% is not to be had in passes of milliseconds, so the cap ends it."""
    few = [*SMALL]
    few[few.index("--processes") + 1] = "2"
    done = run_cli(
        "profile", "--communication", "none", "--window", "2", "--device", "cpu", *few,
        "--until", "0.1%", "--most-processes", "3", "--format", "json",
        "--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [row["processes"] for row in json.loads(done.stdout)["values"]] == [3]


def test_rows_of_another_torch_are_told_and_kept(tmp_path):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    options = ["--communication", "none", "--window", "2", "--device", "cpu", *SMALL, *where]
    assert run_cli("profile", *options).returncode == 0
    [path] = (tmp_path / "r" / "profiles").glob("*.json")
    content = json.loads(path.read_text())
    here = content["provenance"]["packages"]["torch"]
    content["provenance"]["packages"]["torch"] = "1.9"
    del content["sha256"]
    path.write_text(json.dumps(content))
    again = run_cli("profile", *options)
    assert again.returncode == 0
    assert f"note: 1 rows were measured before with torch 1.9 (now {here})" in again.stderr
    assert json.loads(path.read_text()) == content


@pytest.fixture
def own_networks(tmp_path, monkeypatch) -> Iterator[Path]:
    """A directory on the path with a module of two networks, the second of wrong shapes."""
    text = (ROOT / "docs" / "your_network.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    wrong = "class Wrong(Tiny):\n    def forward(self, clip):\n        return clip, clip\n"
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own_networks_of_a_test.py").write_text(f"{code}\n\n{wrong}")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    yield folder
    for name in ("own_networks_of_a_test", "uncounted_of_a_test"):
        sys.modules.pop(name, None)


def test_profile_of_an_own_network_beside_ifc(tmp_path, own_networks):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    options = ["--window", "2", "--device", "cpu", *SMALL, *where]
    own = ["--model", "own_networks_of_a_test:Tiny"]
    done = run_cli("profile", "--communication", "ifc", *own, *options, "--format", "json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    ifc, tiny = table["values"]
    assert (ifc["variant"], tiny["variant"]) == ("ifc M=8", "Tiny")
    for row in (ifc, tiny):
        for number in ("network_fps", "masks_fps", "results_fps", "peak_bytes", "clip_macs"):
            assert row[number] > 0, number
    head = "\n".join(table["head"])
    assert "equal work" in head
    assert "warning: unequal work" not in head
    assert "own networks (own_networks_of_a_test:Tiny): the whole clip" in head
    assert "MACs of Tiny, clip of 2 frames of 32x48: 0.00 G" in head
    printed = (tmp_path / "r" / "tables" / "profile.md").read_text()
    assert "fp32 whole clip" in printed
    alone = run_cli("profile", *own, *options)
    assert alone.returncode == 0, alone.stderr
    assert "| Tiny" in alone.stdout
    assert "ifc" not in alone.stdout.partition("| device")[2], "--model alone is measured alone"
    assert "processes" not in alone.stderr, "what has a record is not measured again"


def test_an_own_network_of_wrong_shapes_is_told_in_one_line(tmp_path, own_networks):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    done = run_cli(
        "profile", "--model", "own_networks_of_a_test:Wrong", "--window", "2", "--device", "cpu",
        *SMALL, *where,
    )  # fmt: skip
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [done.stderr.splitlines()[-1]]
    assert (
        "own_networks_of_a_test:Wrong: forward returns class_probabilities [2, 3, 32" in errors[0]
    )
    assert not list((tmp_path / "r").glob("profiles/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "own_networks_of_a_test:Tin"], "has no factory Tin; it has: Tiny, Wrong"),
        (["--model", "no_such_module_here:Tiny"], "--model: Python finds no module 'no_such"),
        (
            ["--model", "own_networks_of_a_test:Tiny", "--ladder"],
            "--ladder: its rungs are of the built-in networks; leave --model out",
        ),
        (
            ["--model", "own_networks_of_a_test:Tiny", "--attention", "flash"],
            "--attention: is of the built-in networks; leave it out, or add --communication",
        ),
        (
            ["--model", "own_networks_of_a_test:Tiny", "--form", "shared"],
            "--form: is of the built-in networks",
        ),
    ],
)
def test_what_own_networks_have_no_use_for(tmp_path, own_networks, arguments, message):
    where = ["--results", str(tmp_path), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert message in one_line_error(run_cli("profile", *arguments, *where))


def test_flops_of_an_own_network(own_networks):
    place = ["--model", "own_networks_of_a_test:Tiny", "--window", "2", "--frame-size", "32x48"]
    done = run_cli("flops", "--scopes", *place, "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["scope"]: row for row in json.loads(done.stdout)}
    assert rows["all"]["communication"] == "Tiny"
    assert rows["all"]["macs"] == 48 * 16 * 3 * 64 + 48 * 16 * 5 + 16 * 5 * 41
    assert "add --scopes" in one_line_error(run_cli("flops", *place))


def test_flops_of_a_network_that_cannot_be_counted(own_networks):
    path = own_networks / "uncounted_of_a_test.py"
    code = (own_networks / "own_networks_of_a_test.py").read_text()
    path.write_text(code.replace("scores =", "maps.erf()\n        scores ="))
    place = ["--model", "uncounted_of_a_test:Tiny", "--window", "2", "--frame-size", "32x48"]
    done = run_cli("flops", "--scopes", *place)
    assert done.returncode == 0, done.stderr
    assert "MACs of Tiny are not counted: no MACs are defined for aten::erf" in done.stderr
    assert done.stdout.splitlines()[-1].count("–") >= 3


def test_profile_of_real_clips(tmp_path, data_folder):
    done = run_cli(
        "profile", "--communication", "none", "--window", "2", "--device", "cpu", *SMALL,
        "--data", str(data_folder / "valid"), "--videos", "1",
        "--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs"), "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["values"]
    assert row["fps"] > 0
    assert row["fps_with_reading"] > 0, "its order against FPS is noise where a pass takes 10 ms"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "9", "--video-length", "3"], "--window: T = 9 is longer than the video"),
        (["--frame-size", "wide"], "--frame-size: 'wide' is not HEIGHTxWIDTH"),
        (
            ["--attention", "soft"],
            'Invalid value "soft" for --attention. Choose from: "materialised"',
        ),
        (["--precision", "int4"], 'Invalid value "int4" for --precision. Choose from: "fp32"'),
        (["--communication", "gossip"], "--communication: 'gossip' is none of"),
        (["--attention", "efficient", "--window", "2", *SMALL], "'efficient' is not available"),
        (["--data", "nowhere"], "no such file"),
        (["--precision", "tf32", "--window", "2", *SMALL], "on a CPU use fp32"),
        (["--until", "2"], 'Invalid value for --until: "2" must be above 0% and below 100%'),
        (["--until", "much"], '"much" is not a number'),
        (["--expect-gpu", "RTX 2080 Ti"], "--expect-gpu: 'RTX 2080 Ti' is expected"),
    ],
)
def test_bad_input(tmp_path, arguments, message):
    where = ["--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    assert message in one_line_error(run_cli("profile", "--device", "cpu", *arguments, *where))
    assert not list(tmp_path.glob("profiles/*"))


def with_fake_card(tmp_path: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on a machine where NVML lists a card of that name."""
    (tmp_path / "pynvml.py").write_text(
        "import sys\n"
        "from tests.fake_nvml import FakeNvml\n"
        f"sys.modules['pynvml'] = FakeNvml(name={name!r})\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return subprocess.run(
        [sys.executable, str(ROOT / "run_ablations.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        timeout=120,
    )


@pytest.mark.parametrize("command", [["profile"], ["run", "table3a"], ["plan", "table3a"]])
def test_another_card_than_expected_is_refused(tmp_path, command):
    done = with_fake_card(
        tmp_path, "NVIDIA GeForce RTX 3090", *command, "--expect-gpu", "RTX 2080 Ti"
    )
    message = one_line_error(done)
    assert "'RTX 2080 Ti' is expected, but the device is 'NVIDIA GeForce RTX 3090'" in message


def test_the_expected_card_passes(tmp_path):
    done = with_fake_card(
        tmp_path, "NVIDIA GeForce RTX 2080 Ti", "plan", "table3a", "--expect-gpu", "RTX 2080 Ti"
    )
    assert done.returncode == 0, done.stderr


def test_a_comparison_with_the_paper_is_refused_for_another_card(tmp_path):
    """The committed speeds are a processor's; the paper's are a V100's."""
    options = ["report", "table3a", "--results", "results/baseline", "--preset=full"]
    expected = ["--compare", "paper", "--expect-gpu", "V100"]
    assert "--expect-gpu: 'V100' is expected" in one_line_error(run_cli(*options, *expected))
    assert run_cli(*options, "--compare", "paper").returncode == 0


def test_fit_answers_without_a_card(tmp_path):
    done = run_cli(
        "fit", "--gpu", "v100-16gb", "v100-32gb", "--communication", "full", "none",
        "--window", "20", "--frame-size", "720x1280", "--results", str(tmp_path), "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "720x" in line]
    found = {tuple(line.split()[1:4:2]): line.replace(" ", "").split("|")[-3:-1] for line in rows}
    assert found["full", "materialised"] == ["doesnotfit", "fits"], "the paper's own case"
    assert found["full", "efficient"] == ["fits", "fits"]
    assert found["none", "materialised"] == ["fits", "fits"]
    assert len(list((tmp_path / "footprints").glob("*.json"))) == 4


def test_fit_checks_itself_on_this_processor(tmp_path):
    done = run_cli(
        "fit", "--communication", "ifc", "--window", "3", "--frame-size", "32x64", "--check",
        "--attention", "materialised", "--results", str(tmp_path), "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error: median" in done.stdout
    assert "n = 1" in done.stdout


def test_a_forecast_counts_what_is_not_counted_yet(tmp_path):
    """From one committed profile, without its count."""
    profiles = (
        ROOT / "results" / "machines" / "intel-r-xeon-r-processor-2-80ghz-2-cores" / "profiles"
    )
    (tmp_path / "known" / "profiles").mkdir(parents=True)
    shutil.copy(next(profiles.iterdir()), tmp_path / "known" / "profiles")
    command = (
        "fit", "--communication", "none", "--window", "2", "--frame-size", "32x64",
        "--attention", "materialised", "--gpu", "v100-32gb", "--device", "cpu",
        "--results", str(tmp_path / "new"), "--forecast", str(tmp_path / "known"),
    )  # fmt: skip
    done = run_cli(*command)
    assert done.returncode == 0, done.stderr
    assert "v100-32gb (predicted)" in done.stdout
    assert len(list((tmp_path / "new" / "counts").iterdir())) == 2, "the profile's, and the new one"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu", "voodoo"], "--gpu: 'voodoo' is none of rtx-2080ti"),
        (["--forecast", "nowhere", "--window", "2", "--frame-size", "32x64"], "run profile first"),
    ],
)
def test_fit_refuses(tmp_path, arguments, message):
    where = ["--results", str(tmp_path), "--device", "cpu"]
    assert message in one_line_error(run_cli("fit", *arguments, *where))
