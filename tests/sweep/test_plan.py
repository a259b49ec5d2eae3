"""Plans: shared and existing work; planning imports no torch."""

import subprocess
import sys

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, Record
from ifc_bench.store import Store
from ifc_bench.sweep.plan import make_plan
from tests.conftest import ROOT, one_line_error, run_cli


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def plan_of(preset: str, *names: str):
    chosen = PRESETS[preset]
    return make_plan(
        [TABLES[name](chosen) for name in names], chosen, Device(kind="cuda", name="a GPU")
    )


def test_shared_trainings_are_planned_once():
    """Five seeds of Tables 3(a), (c) and (d): 45 trainings and 180 evaluations, not 55 and 220."""
    plan = plan_of("full", "table3a", "table3c", "table3d")
    assert len(plan.trainings) == 45
    assert len(plan.evaluations) == 180
    shared = [t for t in plan.trainings if len(plan.needed_by[t.id]) == 3]
    assert len(shared) == 5  # IFC, M=8 and Decomp are the same runs


def test_table4_is_the_same_runs_as_table3():
    for std, mean in (("table4a", "table3a"), ("table4b", "table3c"), ("table4c", "table3d")):
        a, b = plan_of("full", std), plan_of("full", mean)
        assert {t.id for t in a.trainings} == {t.id for t in b.trainings}
        assert {e.id for e in a.evaluations} == {e.id for e in b.evaluations}


def test_seeds_come_before_rows():
    seeds = [t.seed for t in plan_of("full", "table3a").trainings]
    assert seeds == sorted(seeds)


def test_the_longest_training_of_a_seed_comes_first():
    kinds = [t.model.communication.kind for t in plan_of("full", "table3a").trainings]
    assert kinds == ["full", "none", "decomposed", "ifc"] * 5


def test_a_longer_schedule_is_other_work(tmp_path):
    """`--iterations` on a preset with a third of the iterations."""
    longer = PRESETS["quick"].of_length(iterations=1000)
    assert longer.video.optimisation == PRESETS["full"].video.optimisation
    assert PRESETS["quick"].with_options() == PRESETS["quick"]
    options = ("--iterations", "5000", "--compare", "paper", "--results", str(tmp_path))
    done = run_cli("report", "table3a", *options)
    assert done.returncode == 0, done.stderr
    assert "preset: quick (5000 iterations of 8 clips of T=5)" in done.stdout


def test_all_of_it_is_left_in_an_empty_store(store):
    plan = plan_of("quick", "table1", "table3a")
    assert len(plan.jobs(store)) == 8
    assert len(plan.counts_left(store)) == 16
    assert len(plan.profiles_left(store)) == 16
    assert plan.seconds(store, 2) > 60


def test_precisions_are_those_of_the_work_that_is_left(store):
    """A table whose tests were done on a GPU may be completed on a device without their TF32."""
    preset = PRESETS["smoke"].with_options(testing={"precision": "tf32"})
    device = Device(kind="cpu", name="a CPU", threads=1)
    table = TABLES["table3d"](preset)  # without FPS
    plan = make_plan([table], preset, device)
    assert plan.precisions_left(store) == ["tf32"]
    for work in (*plan.trainings, *plan.evaluations):
        store.save(Record.of(work, provenance("cpu", 1), status="out_of_memory"))
    assert plan.precisions_left(store) == []


def test_every_committed_run_is_needed_by_a_table():
    """If a table changes, the ids of its work must stay, or its records are lost."""
    folder = ROOT / "results" / "baseline"
    store = Store(folder, ROOT / "runs")
    devices = {(r.work.device, r.work.threads) for r in store.records("profile")}
    found = set()
    for name in ("quick", "full"):
        preset = PRESETS[name].model_copy(update={"seeds": 5})
        tables = [recipe(preset) for recipe in TABLES.values()]
        for device, threads in devices:
            plan = make_plan(tables, preset, Device(kind="cpu", name=device, threads=threads))
            found |= plan.needed_by.keys()
            found |= {profile.older.id for profile in plan.profiles}
    assert {r.id for r in store.records()} <= found


def test_plan_and_report_import_no_torch():
    script = (
        "import sys\n"
        "from ablations import PRESETS, TABLES\n"
        "from ifc_bench.cli import main\n"
        "options = ['table3a', '--preset=full', '--results=results/baseline']\n"
        "for command in ('plan', 'report'):\n"
        "    assert main(TABLES, PRESETS, [command, *options]) == 0\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_plan_command_lists_the_work(tmp_path):
    done = run_cli("plan", "table3a", "table3d", "--preset", "full", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "trainings: 25, 0 exist, 5 shared between tables" in done.stdout
    assert "(measured on one thread of an AMD EPYC)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table9"], "'table9' is none of table1"),
        (["plan", "--preset", "huge"], "'huge' is none of smoke, quick, full"),
        (["run", "--sed", "3"], "Unknown option: --sed"),
        (["plan", "--seeds", "0"], "--seeds"),
        (["plan", "--iterations", "0"], "--iterations"),
        (["run", "--device", "tpu"], "'tpu' is none of auto, cpu, cuda:N"),
        (["report", "--format", "pdf"], "--format"),
        (["run", "--window", "30"], "T = 30 is longer than the videos of preset quick"),
        (["run", "--window", "-1"], "--window"),
        (["dance"], "'dance' is not a command"),
    ],
)
def test_bad_options_get_one_line(arguments, message):
    assert message in one_line_error(run_cli(*arguments))


@pytest.mark.parametrize("command", ["run", "plan", "report", "flops", "evaluate"])
def test_every_command_has_help_with_an_example(command):
    done = run_cli(command, "--help")
    assert done.returncode == 0
    assert f"Example: python run_ablations.py {command}" in " ".join(done.stdout.split())


def test_an_embedded_model_starts_without_torchvision():
    """torchvision takes a second to import, in every training and measuring process."""
    code = (
        "import sys; import ifc_bench.sweep.worker; from ablations import PRESETS; "
        "from ifc_bench.models.build import build_model; build_model(PRESETS['full'].model); "
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_runner_of_a_sweep_has_no_torch():
    """It takes a second to import, and its processes have their own."""
    code = (
        "import sys; import ifc_bench.cli.run, ifc_bench.sweep.local; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
