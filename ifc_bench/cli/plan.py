"""`plan`: list the work behind tables, and estimate its time and disk space."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.choice import Choice
from ifc_bench.cli.machine import Machine
from ifc_bench.cli.options import Injected, RetryOption, Tables, number
from ifc_bench.cli.recipes import Recipes
from ifc_bench.config import AnyWork, Evaluation, Profile, SyntheticData, Training
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device
from ifc_bench.recipe import Preset
from ifc_bench.records import Device
from ifc_bench.report.layout import describe
from ifc_bench.report.quantities import SPACE
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Plan, label, make_plan
from ifc_bench.sweep.tasks import Settings

_ITERATIONS, _MOST_ITERATIONS = 3, 1000
_CHOICE, _MACHINE = Choice(), Machine()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    machine: Machine = _MACHINE,
    retry: RetryOption = None,
    dry_run: Annotated[
        bool,
        Parameter(
            help="Run some real iterations of each training, and print memory, time and disk."
        ),
    ] = False,
    sbatch: Annotated[
        int | None,
        number("Print a script for sbatch instead: an array of so many runners.", 1, 10_000),
    ] = None,
    dry_run_iterations: Annotated[
        int | None,
        number(f"Timed iterations of --dry-run. Default: {_ITERATIONS}.", 1, _MOST_ITERATIONS),
    ] = None,
    recipes: Injected,
) -> None:
    """List the work behind tables: what exists, what is shared, and the time for the rest.

    Starts nothing of it. With --dry-run, measures what an iteration of each training takes on
    --device, and keeps nothing.

    Example: python run_ablations.py plan table3a table3c table3d --preset full

    On your GPU: python run_ablations.py plan --preset paper --data ROOT --device cuda:0 --dry-run
    """
    if dry_run_iterations is not None and not dry_run:
        raise UserError("--dry-run-iterations: has no effect without --dry-run; add it")
    if sbatch is not None:
        return _print_script(sbatch, choice, machine, recipes)
    preset, settings = choice.resolved(recipes), machine.settings()
    described = describe_device(settings.device, settings.threads)
    plan = make_plan(choice.tables(recipes, tables, preset), preset, described)
    store = choice.store(retry, described.memory_bytes)
    _print_works(plan, store)
    _print_data(preset)
    if dry_run:
        _dry_run(plan, store, settings, described, dry_run_iterations or _ITERATIONS)
    else:
        _print_estimate(plan, store, settings.workers)


def _print_script(jobs: int, choice: Choice, machine: Machine, recipes: Recipes) -> None:
    """Print the array script of this command; a node needs no submitit for it."""
    from ifc_bench.sweep.slurm import batch_script

    choice.resolved(recipes)  # so that a wrong option is found here, not in eight jobs
    given = [word for word in recipes.given if word != "plan"]
    at = next(n for n, word in enumerate(given) if word.partition("=")[0] == "--sbatch")
    del given[at : at + (1 if "=" in given[at] else 2)]
    logs = choice.runs.resolve() / "slurm"
    logs.mkdir(parents=True, exist_ok=True)  # SLURM makes none, and a job without a log fails
    print(batch_script(given, jobs, machine.slurm or (), logs), end="")


def _dry_run(plan: Plan, store: Store, settings: Settings, device: Device, iterations: int) -> None:
    """Measure each kind of training in the plan, and print the tables.

    Raises:
        UserError: if the data or the device is not usable.
    """
    from ifc_bench.cli.progress import bar
    from ifc_bench.data.splits import Splits  # torch: only where it is needed
    from ifc_bench.data.synthetic import synthesize
    from ifc_bench.measuring.dry_run import Request, dry_run
    from ifc_bench.measuring.isolation import measuring
    from ifc_bench.report import dry_run as report
    from ifc_bench.report.layout import write
    from ifc_bench.sweep.costs import kinds

    groups = kinds(plan)
    if not groups:
        print("dry run: there is no training among the work")
        return
    for data in dict.fromkeys(kind.first.data for kind in groups):
        if isinstance(data, SyntheticData):  # here, so that an interrupt leaves no part of it
            with bar("embedded benchmark") as tell:
                synthesize(data, store.data_path(data), tell)
        Splits(store, data).check()
    runs = []
    with measuring(_say_waiting), bar("dry run") as tell:
        for done, kind in enumerate(groups):
            tell(done, len(groups))
            request = Request(
                kind.first,
                kind.evaluations,
                settings.device,
                settings.threads,
                iterations,
                settings.loaders,
            )
            runs.append((kind, dry_run(request, store)))
    for grid in (
        report.iterations_grid(runs, device),
        report.sweep_grid(plan, runs, device, settings.workers),
        report.space_grid(plan, runs),
    ):
        print(f"\n{write(grid, 'github').rstrip()}")


def _say_waiting() -> None:
    print("waiting for another measurement on this machine", file=sys.stderr)


def _print_works(plan: Plan, store: Store) -> None:
    kinds: dict[str, tuple[AnyWork, ...]] = {
        "MACs": plan.counts,
        "trainings": plan.trainings,
        "evaluations": plan.evaluations,
        "profiles": plan.profiles,
    }
    for name, works in kinds.items():
        exist = sum(store.done(work) for work in works)
        shared = sum(len(plan.needed_by[work.id]) > 1 for work in works)
        print(f"{name}: {len(works)}, {exist} exist, {shared} shared between tables")
    uses: dict[str, list[Evaluation | Profile]] = defaultdict(list)
    for evaluation in plan.evaluations:
        uses[evaluation.training.id].append(evaluation)
    for profile in plan.profiles:
        uses[profile.weights.id if isinstance(profile.weights, Training) else ""].append(profile)
    for training in plan.trainings:
        tables = ", ".join(plan.needed_by[training.id])
        print(f"  {training.id}  {_state(training, store)}  {label(training)}  ({tables})")
        for use in uses[training.id]:
            print(f"    {use.id}  {_state(use, store)}  {use.kind} T={use.window}")


def _print_data(preset: Preset) -> None:
    """The size of the user's data, and how many iterations the recipe takes on it."""
    stages = {"videos": preset.video, **({"images": preset.image} if preset.pretrain else {})}
    for what, stage in stages.items():
        if stage.size is None:
            continue
        size, schedule = stage.size, stage.optimisation
        visits = schedule.iterations * schedule.clips / max(1, size.train_videos)
        print(
            f"{what}: {describe(stage.data)}, {size.train_videos} of training "
            f"({size.train_frames} frames), {size.valid_videos} of validation "
            f"({size.valid_frames} frames); {schedule.iterations} iterations of {schedule.clips} "
            f"clips, {visits:.1f} clips of each"
        )


def _print_estimate(plan: Plan, store: Store, workers: int) -> None:
    preset = plan.preset
    if preset.gpus:
        busy, alone = (seconds / 3600 for seconds in plan.shared_and_alone(store))
        print(
            f"about {_hours(busy * preset.gpus + alone)} GPU-hours, {_hours(busy + alone)} h on "
            f"{preset.gpus} GPU{'s'[: preset.gpus > 1]} ({preset.timed})"
        )
    else:
        seconds = plan.seconds(store, workers)
        print(f"about {seconds / 60:.0f} min with {workers} processes ({preset.timed})")
    space = SPACE.text(len(plan.trainings) * preset.checkpoint_bytes)
    print(f"about {space} of disk for {len(plan.trainings)} checkpoints")


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"


def _state(work: AnyWork, store: Store) -> str:
    record = store.load(work)
    return f"{'to do' if record is None else record.status:12}"
