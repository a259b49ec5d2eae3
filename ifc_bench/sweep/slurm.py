"""Runs a sweep under SLURM: an array of jobs, each a runner of the same command on its node.

The runners share the work by their claims, and this process reads their records; what a job returns
is never looked at. So a job that is preempted, ends at its time limit or loses its node costs at
most the iterations since its last checkpoint, and the same command goes on.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ifc_bench.errors import UserError, first_line
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Plan
from ifc_bench.sweep.tasks import Outcome, Settings

_LOOK_SECONDS = 5.0
_LONG = "7-00:00:00"  # for jobs in processes of this machine
_REFUSALS = (RuntimeError, ValueError, TypeError, OSError)
_POLL_SECONDS = 0.2
_STOP_SECONDS = 60.0  # for a runner to let its trainings write their checkpoints
_OURS = ("--executor", "--slurm", "--workers")  # options that a runner on a node does not get
_WELL = ("COMPLETED", "DONE", "FINISHED")
_OVER = (
    *_WELL, "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY",
    "BOOT_FAIL", "DEADLINE", "INTERRUPTED",
)  # fmt: skip
_MEANING = {
    "PREEMPTED": "another job took its node",
    "TIMEOUT": "its time limit was reached; raise --slurm time=",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more host memory than it asked for; raise --slurm mem=",
    "CANCELLED": "it was cancelled",
}


class Runner:
    """The function of a job: it runs the command, and stops it in time if SLURM asks for that."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, command: list[str]) -> int:
        # SLURM's warning goes to every process of the job, and would end the command at once.
        self.process = subprocess.Popen(command, preexec_fn=_ignore_warnings)
        while self.process.poll() is None:  # `wait` would hold a lock that `checkpoint` needs
            time.sleep(_POLL_SECONDS)
        return self.process.returncode

    def checkpoint(self, command: list[str]) -> Any:
        """Stop before a preemption or the time limit; the job is queued again with the rest."""
        import submitit

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            self.process.kill()
        return submitit.helpers.DelayedSubmission(Runner(), command)


def _ignore_warnings() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def run_on_slurm(
    plan: Plan, store: Store, settings: Settings, given: Sequence[str], say: Callable[[str], None]
) -> Outcome:
    """Submit `settings.workers` jobs that run the command `given`, and follow them to their end.

    An interrupt cancels the jobs; their trainings write checkpoints.

    Raises:
        UserError: if submitit is not installed, or SLURM refuses the jobs.
    """
    jobs = _submitted(store, settings, runner_command(given))
    say(f"submitted: {', '.join(str(job.job_id) for job in jobs)} (logs in {_folder(store)})")
    known, states = "", ["PENDING"] * len(jobs)
    try:
        while True:
            # The controller forgets a job some minutes after its end.
            states = [
                before if before in _OVER else state_of(job)
                for job, before in zip(jobs, states, strict=True)
            ]
            text = f"{_counted(states)}; {_progress(plan, store)}"
            if text != known:
                known = text
                say(f"{time.strftime('%H:%M:%S')} {text}")
            if all(state in _OVER for state in states):
                break
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        for job in jobs:
            job.cancel(check=False)
        say("cancelled the jobs; their trainings write checkpoints")
        raise
    outcome = Outcome()
    for job, state in zip(jobs, states, strict=True):
        if state not in _WELL and plan.missing(store):
            why = _MEANING.get(state, f"see {job.paths.stderr}")
            outcome.errors.append(
                f"job {job.job_id}: {state}: {why}; run the same command again to continue"
            )
    return outcome


def runner_command(given: Sequence[str]) -> list[str]:
    """The command of a runner on a node: as `given`, with the local executor.

    It has the node's device to itself: one task at a time on a GPU, and one for each core without.
    """
    kept: list[str] = []
    skip = False
    for word in given:
        if skip:
            skip = False
        elif word in _OURS:
            skip = True
        elif word.partition("=")[0] not in _OURS:
            kept.append(word)
    return [sys.executable, str(script()), *kept, "--executor=local"]


def script() -> Path:
    """The script that this command was started with.

    Raises:
        UserError: if it is not a file, as in `python -c`.
    """
    path = Path(sys.argv[0])
    if not path.is_file():
        raise UserError(
            f"--executor slurm: {path}: is not a script that a node could run; start "
            "run_ablations.py"
        )
    return path.resolve()


def batch_script(given: Sequence[str], jobs: int, options: Sequence[str], logs: Path) -> str:
    """The script for `sbatch`, for clusters without submitit: an array of `jobs` runners."""
    lines = {
        "job-name": "ifc-bench",
        "array": f"0-{jobs - 1}",
        "output": f"{logs}/%A_%a.log",
        "requeue": None,
        "signal": "TERM@120",
        **{name.replace("_", "-"): value for name, value in parsed(options).items()},
    }
    lines.pop("cluster", None)
    head = [f"#SBATCH --{name}" + (f"={value}" if value else "") for name, value in lines.items()]
    command = runner_command(["run", *given])
    return "\n".join(["#!/bin/bash", *head, "", f"srun {shlex.join(command)}", ""])


def parsed(options: Sequence[str]) -> dict[str, str]:
    """Parse "KEY=VALUE" options.

    Raises:
        UserError: if one has no "=".
    """
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name.replace("_", "").replace("-", "").isalnum():
            raise UserError(f"--slurm: {option!r} is not KEY=VALUE, such as partition=gpu")
        found[name.replace("-", "_")] = value
    return found


def _typed(name: str, value: str) -> str | int:
    """The value of an option as submitit needs it: minutes, or a whole number where it is one."""
    if name == "time":
        return _minutes(value)
    return int(value) if value.isascii() and value.isdigit() else value


def _minutes(time_limit: str) -> int:
    """Parse a limit as SLURM does: "MM", "MM:SS", "HH:MM:SS", or days before any: "D-HH:MM:SS".

    Raises:
        UserError: if it is none of these.
    """
    days, dash, rest = time_limit.rpartition("-")
    parts = rest.split(":")
    if not all(part.isascii() and part.isdigit() for part in [*parts, *([days] if dash else [])]):
        raise UserError(f"--slurm: time={time_limit} is no time such as 24:00:00 or 1-12:00:00")
    numbers = [int(part) for part in parts]
    if dash or len(numbers) == 3:  # hours first
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return max(1, (int(days or 0) * 24 + hours) * 60 + minutes + (seconds > 0))


def _folder(store: Store) -> Path:
    return store.runs.resolve() / "slurm"


def _submitted(store: Store, settings: Settings, command: list[str]) -> list[Any]:
    try:
        import submitit
    except ImportError:
        raise UserError(
            "--executor slurm: the package submitit is not installed; pip install "
            "'ifc-bench[slurm]', or take plan --sbatch"
        ) from None
    options = parsed(settings.slurm)
    cluster = options.pop("cluster", "slurm")
    known = submitit.SlurmExecutor._valid_parameters()
    own = {f"slurm_{name}": _typed(name, value) for name, value in options.items() if name in known}
    if cluster != "slurm":
        own["timeout_min"] = _minutes(options.get("time", _LONG))
    rest = {name.replace("_", "-"): value for name, value in options.items() if name not in known}
    try:
        executor = submitit.AutoExecutor(folder=_folder(store), cluster=cluster)
        executor.update_parameters(
            name="ifc-bench",
            slurm_array_parallelism=settings.workers,
            slurm_additional_parameters=rest,
            **own,
        )
        jobs: list[Any] = executor.map_array(Runner(), [command] * settings.workers)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        OSError,
        submitit.core.utils.FailedSubmissionError,
    ) as error:
        raise UserError(f"--executor slurm: the jobs were refused: {first_line(error)}") from None
    return jobs


def state_of(job: Any) -> str:
    """The state of a job in SLURM's words, without what follows, as in "CANCELLED by 1000".

    From the controller, which knows jobs until some minutes after their end and needs no
    accounting; then from submitit, which asks the accounting. With cluster=local the jobs are
    processes of this machine, of which a controller knows nothing.
    """
    import submitit

    here = isinstance(job, submitit.LocalJob)
    words = ((None if here else _controlled(str(job.job_id))) or str(job.state)).split()
    return words[0].rstrip("+") if words else "UNKNOWN"


def _controlled(job: str) -> str | None:
    """The state of a job by `scontrol`; None where it is not known there."""
    if shutil.which("scontrol") is None:
        return None
    done = subprocess.run(
        ["scontrol", "show", "job", job, "-o"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\bJobState=(\w+)", done.stdout) if done.returncode == 0 else None
    return found[1] if found else None


def _counted(states: Sequence[str]) -> str:
    return ", ".join(f"{n} {state.lower()}" for state, n in Counter(states).items())


def _progress(plan: Plan, store: Store) -> str:
    parts = []
    for name, works in (("trainings", plan.trainings), ("evaluations", plan.evaluations)):
        done = sum(1 for work in works if store.done(work))
        parts.append(f"{done} of {len(works)} {name}")
    return ", ".join(parts)
