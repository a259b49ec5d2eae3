"""Progress of a sweep: bars in a terminal, lines elsewhere, and warnings about stalled tasks."""

from __future__ import annotations

import re
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ifc_bench.errors import printable, printable_message
from ifc_bench.records import Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.tasks import TAKEN, Event, Task, title

_NUMBERED = re.compile(r"\.\d+\.")  # a part of which there are several, such as "layers.0."
_FRAME = re.compile(r'File "(.+)", line (\d+), in (\S+)')
_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_NOT_OWN = (*_LIBRARIES, str(Path(__file__).parents[1]), "<")


class StallWatch:
    """Context manager that warns if a task reports no progress for `quiet` seconds.

    A stalled process cannot be distinguished from a slow one, so it only warns, every `quiet`
    seconds, and the user decides.
    """

    def __init__(self, say: Callable[[str], None], quiet: float = 300.0) -> None:
        self.say, self.quiet = say, quiet
        self._last: dict[object, tuple[str, float, float]] = {}  # name, last progress, last warning
        self._changing, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def heard(self, key: object, name: str) -> None:
        """Record progress of task `key`, with its current `name`."""
        with self._changing:
            self._last[key] = (name, time.monotonic(), time.monotonic())

    def ended(self, key: object) -> None:
        """Stop watching task `key`."""
        with self._changing:
            self._last.pop(key, None)

    def _look(self) -> None:
        while not self._over.wait(min(self.quiet / 4, 10.0)):
            now, late = time.monotonic(), []
            with self._changing:
                for key, (name, sign, word) in self._last.items():
                    if now - word >= self.quiet:
                        self._last[key] = (name, sign, now)
                        late.append(f"{name}: no progress for {_span(now - sign)}")
            for line in late:
                self.say(f"{line}; still waiting (Ctrl-C stops, the same command continues)")


class SweepDisplay:
    """Context manager whose `tell` takes the events of `ifc_bench.sweep.scheduler.run`.

    If the console is not a terminal, a running task prints a line every `line_every` seconds.
    """

    def __init__(
        self,
        console: Console,
        pieces: int,
        store: Store,
        quiet: float = 300.0,
        line_every: float = 120.0,
    ) -> None:
        self.console, self.pieces, self.store = console, pieces, store
        self.done = 0
        self.line_every = line_every
        self.stalls = StallWatch(self._say, quiet)
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
        self.spoken: dict[tuple[str, int], float] = {}  # when each task last had a line

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
        """Update the bar of one task, or close it and print the outcome."""
        key = (title(task), event.task)
        name = f"{title(task)}: {event.stage}"
        if event.stage == "kept":
            self._say(f"{title(task)}: {event.error}")
        elif event.stage in ("end", "again"):
            self._end(task, event)
            self.stalls.ended(key)
            if key in self.of_task:
                self.bars.remove_task(self.of_task.pop(key))
        else:
            where = f" {event.done}/{event.total}" if event.total else ""
            if event.stage == TAKEN:  # nothing of this runner's can stand still
                self.stalls.ended(key)
            else:
                self.stalls.heard(key, name + where)
            self._line(key, name + where)
            if key not in self.of_task:
                self.of_task[key] = self.bars.add_task(name, total=event.total)
            self.bars.update(
                self.of_task[key], description=name, completed=event.done, total=event.total
            )

    def _line(self, key: tuple[str, int], text: str) -> None:
        """Print a line about a running task now and then, if the output is not a terminal."""
        now = time.monotonic()
        if now - self.spoken.setdefault(key, now) > self.line_every:
            self.spoken[key] = now
            if not self.console.is_terminal:
                self._say(f"{time.strftime('%H:%M:%S')} {text}")

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
            self.bars.update(self.whole, completed=self.done)
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


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr if it is a terminal; yields a function of (done, total)."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)

        def say(text: str) -> None:
            console.print(text, highlight=False, markup=False, soft_wrap=True)

        with StallWatch(say) as stalls:

            def tell(done: int, total: int) -> None:
                stalls.heard(title, f"{title} {done}/{total}")
                bars.update(task, completed=done, total=total)

            yield tell
