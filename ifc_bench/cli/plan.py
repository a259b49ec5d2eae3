"""`plan`: list the work behind tables, and estimate its time and disk space."""

from __future__ import annotations

from collections import defaultdict

from ifc_bench.cli.options import Choice, Injected, Machine, RetryOption, Tables
from ifc_bench.config import AnyWork, Evaluation, Profile, Training
from ifc_bench.hardware.device import describe_device
from ifc_bench.report.quantities import SPACE
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Plan, label, make_plan

_CHOICE, _MACHINE = Choice(), Machine()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    machine: Machine = _MACHINE,
    retry: RetryOption = None,
    recipes: Injected,
) -> None:
    """List the work behind tables: what exists, what is shared, and the time for the rest.

    Starts nothing.

    Example: python run_ablations.py plan table3a table3c table3d --preset full
    """
    preset, settings = choice.resolved(recipes), machine.settings()
    described = describe_device(settings.device, settings.threads)
    plan = make_plan(choice.tables(recipes, tables, preset), preset, described)
    _print_plan(plan, choice.store(retry), settings.workers)


def _print_plan(plan: Plan, store: Store, workers: int) -> None:
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
    preset = plan.preset
    seconds = plan.seconds(store, 1 if preset.gpus else workers)
    if preset.gpus:
        hours = seconds / 3600
        print(
            f"about {hours * preset.gpus:.0f} GPU-hours, {hours:.0f} h on {preset.gpus} GPUs "
            f"({preset.timed})"
        )
    else:
        print(f"about {seconds / 60:.0f} min with {workers} processes ({preset.timed})")
    space = SPACE.text(len(plan.trainings) * preset.checkpoint_bytes)
    print(f"about {space} of disk for {len(plan.trainings)} checkpoints")


def _state(work: AnyWork, store: Store) -> str:
    record = store.load(work)
    return f"{'to do' if record is None else record.status:12}"
