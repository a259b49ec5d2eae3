"""Shows a running sweep: live bars in a terminal, one line for each finished piece elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ifc_bench.records import TrainingResult
from ifc_bench.sweep.executors import Event, Task, title


class SweepDisplay:
    """A context manager; `tell` takes the events of `ifc_bench.sweep.executors.run`."""

    def __init__(self, console: Console, pieces: int) -> None:
        self.console = console
        self.pieces = pieces
        self.done = 0
        self.bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.whole = self.bars.add_task("all", total=pieces)
        self.of_task: dict[tuple[str, int], TaskID] = {}

    def __enter__(self) -> SweepDisplay:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def tell(self, task: Task, event: Event) -> None:
        """Move the bar of one task, or close it and say what came of it."""
        key = (title(task), event.task)
        if event.stage == "end":
            self._end(task, event)
            if key in self.of_task:
                self.bars.remove_task(self.of_task.pop(key))
            return
        name = f"{title(task)}: {event.stage}"
        if key not in self.of_task:
            self.of_task[key] = self.bars.add_task(name, total=event.total)
        self.bars.update(
            self.of_task[key], description=name, completed=event.done, total=event.total
        )

    def _end(self, task: Task, event: Event) -> None:
        self.done += 1
        self.bars.update(self.whole, completed=self.done)
        bad = [record for record in event.records if record.status != "ok"]
        outcome = "done"
        if event.error:
            outcome = "stopped"
        elif bad:
            outcome = ", ".join(f"{record.work.kind} {record.status}" for record in bad)
        self.console.print(f"[{self.done}/{self.pieces}] {title(task)}: {outcome}", highlight=False)
        for record in event.records:
            if isinstance(record.result, TrainingResult) and record.result.new_parameters:
                new = record.result.new_parameters
                parts = ", ".join(dict.fromkeys(key.rpartition(".")[0] or key for key in new))
                self.console.print(f"    not in the weights it started from: {parts}")
        for record in bad:
            if record.error:
                last = record.error.strip().splitlines()[-1]
                self.console.print(f"    {last}", highlight=False, markup=False)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """One bar on stderr, in a terminal only; gives a function that takes (done, total)."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
