"""Live view of a sweep: a bar for each task in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import re
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ifc_bench.cli.progress import StallWatch, span
from ifc_bench.errors import printable, printable_message
from ifc_bench.records import Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Plan
from ifc_bench.sweep.tasks import TAKEN, Event, Task, title

_NUMBERED = re.compile(r"\.\d+\.")  # a part of which there are several, such as "layers.0."
_FRAME = re.compile(r'File "(.+)", line (\d+), in (\S+)')
_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_NOT_OWN = (*_LIBRARIES, str(Path(__file__).parents[1]), "<")
_KNOWN_SHARE = 0.02  # of a sweep, from which its pace is used for the time left


@dataclass
class _Running:
    """A running task: its current stage, and since when, to know its rate."""

    task: Task
    stage: str
    done: int
    total: int
    loss: float | None
    first_done: int
    since: float

    def follow(self, event: Event) -> None:
        if event.stage != self.stage:
            self.first_done, self.since = event.done, time.monotonic()
        self.stage, self.done, self.total = event.stage, event.done, event.total
        self.loss = event.loss

    @property
    def rate(self) -> float | None:
        """Steps a second in this stage; None at its beginning."""
        seconds, steps = time.monotonic() - self.since, self.done - self.first_done
        return steps / seconds if steps > 0 and seconds > 0 else None

    @property
    def note(self) -> str:
        """Loss, rate and time left, as far as they are known."""
        parts = [] if self.loss is None else [f"loss {self.loss:.3f}"]
        if self.rate:
            parts.append(f"{self.rate:.2g}/s")
            parts.append(f"{span((self.total - self.done) / self.rate)} left")
        return ", ".join(parts)

    @property
    def text(self) -> str:
        """The task in a line of a log."""
        where = f" {self.done}/{self.total}" if self.total else ""
        note = f" ({self.note})" if self.note else ""
        return f"{title(self.task)}: {self.stage}{where}{note}"


class SweepDisplay:
    """Context manager whose `tell` takes the events of `ifc_bench.sweep.scheduler.run`.

    If the console is not a terminal, it prints a line on all running tasks at most every
    `line_every` seconds. The time left of the whole sweep goes by the preset's estimates of what is
    done and what is left, and by the time that the former took.
    """

    def __init__(
        self,
        console: Console,
        plan: Plan,
        store: Store,
        quiet: float = 300.0,
        line_every: float = 30.0,
    ) -> None:
        self.console, self.plan, self.store = console, plan, store
        self.pieces = plan.pieces(store)
        self.work = sum(plan.task_seconds(job) for job in plan.jobs(store))
        self.ended = 0.0  # of `work`
        self.done, self.begun = 0, time.monotonic()
        self.line_every, self.spoken = line_every, time.monotonic()
        self.stalls = StallWatch(self._say, quiet)
        self.bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.whole = self.bars.add_task("all", total=self.pieces, note="")
        self.running: dict[tuple[str, int], _Running] = {}
        self.bar_of: dict[tuple[str, int], TaskID] = {}

    def __enter__(self) -> SweepDisplay:
        self.bars.start()
        self.stalls.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stalls.__exit__()
        self.bars.stop()

    def tell(self, task: Task, event: Event) -> None:
        """Update the line of one task, or close it and print the outcome."""
        key = (title(task), event.task)
        if event.stage == "kept":
            self._say(f"{title(task)}: {event.error}")
        elif event.stage in ("end", "again"):
            self._end(task, event)
            self.stalls.ended(key)
            self.running.pop(key, None)
            if key in self.bar_of:
                self.bars.remove_task(self.bar_of.pop(key))
        else:
            self._follow(key, task, event)
        note = self._left()
        self.bars.update(self.whole, completed=self.done, note=note)
        now = time.monotonic()
        if self.running and not self.console.is_terminal and now - self.spoken > self.line_every:
            self.spoken = now
            tasks = "; ".join(one.text for one in self.running.values())
            place = f"[{self.done}/{self.pieces}] "
            self._say(f"{time.strftime('%H:%M:%S')} {place}{tasks}{'; ' if note else ''}{note}")

    def _follow(self, key: tuple[str, int], task: Task, event: Event) -> None:
        new = _Running(
            task, event.stage, event.done, event.total, event.loss, event.done, time.monotonic()
        )
        running = self.running.setdefault(key, new)
        running.follow(event)
        if event.stage == TAKEN:  # nothing of this runner's can stand still
            self.stalls.ended(key)
        else:
            self.stalls.heard(key, running.text)
        description = f"{title(task)}: {event.stage}"
        if key not in self.bar_of:
            self.bar_of[key] = self.bars.add_task(description, total=event.total, note="")
        self.bars.update(
            self.bar_of[key], description=description, completed=event.done, total=event.total,
            note=running.note,
        )  # fmt: skip

    def _left(self) -> str:
        """The time left of all trainings and evaluations; empty before it can be known."""
        parts = [
            one.done / one.total * self.plan.task_seconds(one.task)
            for one in self.running.values()
            if one.stage == "train" and one.total
        ]
        share = (self.ended + sum(parts)) / self.work if self.work else 0.0
        if not _KNOWN_SHARE <= share < 1:
            return ""
        seconds = (time.monotonic() - self.begun) * (1 - share) / share
        return f"about {span(seconds)} left"

    def _say(self, text: str) -> None:
        self.console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def _end(self, task: Task, event: Event) -> None:
        bad = [record for record in event.records if record.status != "ok"]
        outcome = "done"
        if event.error:
            outcome = "stopped"
        elif bad:
            words = [f"{r.work.kind} {r.status.replace('_', ' ')}" for r in bad]
            outcome = ", ".join(dict.fromkeys(words))
        elif not event.records:
            outcome = "done by another runner"
        place = "..."
        if event.stage == "end":
            self.done += 1
            self.ended += self.plan.task_seconds(task)
            place = f"{self.done}/{self.pieces}"
        self._say(f"[{place}] {title(task)}: {outcome}")
        for record in event.records:
            if isinstance(record.result, TrainingResult) and record.result.new_parameters:
                new = record.result.new_parameters
                parts = ", ".join(dict.fromkeys(_NUMBERED.split(key)[0] for key in new))
                self._say(f"    missing from its initial weights ({len(new)} parameters): {parts}")
        for record in bad:
            self._say(f"    {fault(record)} ({self.store.record_path(record.work)})")


def fault(record: Record) -> str:
    """Format an error in one line; an error in the user's code with file, line and function."""
    if not record.error:
        result = record.result
        at = result.diverged_at if isinstance(result, TrainingResult) else None
        return "no error was reported" if at is None else f"not finite at iteration {at}"
    message = printable_message(record.error.strip().splitlines()[-1])
    frames = _FRAME.findall(record.error)
    own = [f for f in frames if not f[0].startswith(_NOT_OWN) and "-packages" not in f[0]]
    if not own:
        return message
    file, line, function = own[-1]
    return f"{Path(file).name}:{line}, in {function}: {message}"
