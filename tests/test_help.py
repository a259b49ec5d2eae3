"""Every command explains itself, with an example that names it."""

import pytest

from ifc_bench.cli.app import COMMANDS as COMMANDS_BY_GROUP
from tests.conftest import one_line_error, run_cli, run_process

COMMANDS = [
    "run", "plan", "report", "significance", "status", "merge", "keep", "export", "gc", "check",
    "flops", "profile", "fit", "compare",
    "predict", "visualize", "attention", "diagram", "evaluate", "doctor",
    "data validate", "data split", "data synthesize", "data convert-davis",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    done = run_cli(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert f"Example: python run_ablations.py {command}" in " ".join(done.stdout.split())


def test_no_command_is_left_out():
    listed = {name: told for group in COMMANDS_BY_GROUP.values() for name, told in group.items()}
    assert listed.keys() == {command.split()[0] for command in COMMANDS}
    shown = " ".join(run_cli("--help").stdout.replace("│", " ").split())
    for name, told in listed.items():
        assert f"{name} {told}" in shown


def test_doctor_reports_what_is_there_and_what_is_not():
    done = run_process("doctor")
    assert done.returncode == 0, done.stderr
    for part in ("torch", "detectron2", "tensorboard", "device", "CUDA in torch"):
        assert part in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "report table1 --results results/baseline --out {}/report",
        "diagram --out {}/network.png",
        "data synthesize {}/scenes --train 1 --valid 1",
        "flops --communication none --frame-size 64x64 --window 2 --format json",
        "profile --communication none --window 2 --video-length 2 --device cpu --results {}/r",
        "fit --communication none --window 2 --frame-size 64x64 --results {}/r",
        "run table1 --preset smoke --results {}/r --runs {}/runs",
        "plan table3a --preset smoke --results {}/r",
        "doctor --results {}/r",
    ],
)
def test_an_output_folder_that_is_a_file(command, tmp_path):
    """One line that names the place. Commands that write nothing there do their work."""
    taken = tmp_path / "taken"
    taken.write_text("mine")
    done = run_cli(*command.format(*[taken] * 2).split())
    if command.startswith(("flops", "plan")):
        assert done.returncode == 0, done.stderr
    else:
        assert str(taken) in one_line_error(done)
    assert taken.read_text() == "mine"
