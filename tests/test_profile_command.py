"""`profile`, `fit` and `--expect-gpu` through the real command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, one_line_error, run_cli, run_process

SMALL = ["--frame-size", "32x48", "--video-length", "3", "--processes", "1", "--min-passes", "1",
         "--min-seconds", "0.01", "--max-seconds", "0.01", "--warm-up-seconds", "0.01"]  # fmt: skip


def test_profile_on_this_processor(tmp_path):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    options = ["--communication", "none", "ifc", "--window", "2", "--device", "cpu", *SMALL, *where]
    done = run_process("profile", *options)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "| none" in line or "| ifc M=8" in line]
    assert len(lines) == 2
    assert "measured on a CPU; no number here is a GPU's" in done.stdout
    assert "paper FPS" not in done.stdout
    assert (tmp_path / "r" / "tables" / "profile.md").read_text() == done.stdout.rstrip("\n") + "\n"
    assert len(list((tmp_path / "r" / "profiles").glob("*.json"))) == 2
    assert len(list((tmp_path / "r" / "counts").glob("*.json"))) == 2, "what a clip costs"
    again = run_process("profile", *options, "--format", "json")
    assert "processes" not in again.stderr, "what has a record is not measured again"
    rows = json.loads(again.stdout)["values"]
    assert {row["variant"] for row in rows} == {"ifc M=8", "none"}
    assert len({row["content"] for row in rows}) == 1, "tracker and output had equal work"
    assert "equal work: tracker and output are given the same" in done.stdout
    for row in rows:
        assert row["network_fps"] > row["masks_fps"] > 0.9 * row["results_fps"] > 0
    assert {row["fps_with_reading"] for row in rows} == {None}, "noise is made, not read"


def test_processes_are_added_until_the_interval_is_narrow(tmp_path):
    """1% is not to be had in passes of milliseconds, so the cap ends it; 99% is at once."""
    rows = []
    two = [*SMALL]
    two[two.index("--processes") + 1] = "2"
    for until, folder in (("0.1%", "a"), ("99%", "b")):
        done = run_process(
            "profile", "--communication", "none", "--window", "2", "--device", "cpu", *two,
            "--until", until, "--most-processes", "3", "--format", "json",
            "--results", str(tmp_path / folder), "--runs", str(tmp_path / "runs"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows += json.loads(done.stdout)["values"]
    assert [row["processes"] for row in rows] == [3, 2]


def test_rows_of_another_torch_are_told_and_kept(tmp_path):
    where = ["--results", str(tmp_path / "r"), "--runs", str(tmp_path / "runs")]
    options = ["--communication", "none", "--window", "2", "--device", "cpu", *SMALL, *where]
    assert run_process("profile", *options).returncode == 0
    [path] = (tmp_path / "r" / "profiles").glob("*.json")
    content = json.loads(path.read_text())
    here = content["provenance"]["packages"]["torch"]
    content["provenance"]["packages"]["torch"] = "1.9"
    del content["sha256"]
    path.write_text(json.dumps(content))
    again = run_process("profile", *options)
    assert again.returncode == 0
    assert f"note: 1 rows were measured before with torch 1.9 (now {here})" in again.stderr
    assert json.loads(path.read_text()) == content


def test_profile_of_real_clips(tmp_path, data_folder):
    done = run_process(
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
    profiles = ROOT / "results" / "machines" / "amd-epyc-2-cores" / "profiles"
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
