"""Progress of one piece of work: a bar in a terminal, and warnings about what stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


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
                        late.append(f"{name}: no progress for {span(now - sign)}")
            for line in late:
                self.say(f"{line}; still waiting (Ctrl-C stops, the same command continues)")


def span(seconds: float) -> str:
    """Format a time in words, as in "12 min"."""
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
