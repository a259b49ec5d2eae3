"""Kill the processes of smoke sweeps at random moments, for hours, and look at what is left.

    PYTHONPATH=. python benchmarks/random_kills.py --minutes 120

Round after round, two runners share one sweep; runners and what is below them get SIGKILL, and the
same command is given again until the sweep is whole. Its losses and accuracies are compared with
those of an unbroken one. Beside them one long sweep, whose runner is left alone, shows whether that
runner's memory grows. Ends with exit code 1 where a number differs, a file is damaged, a process is
left over, or that memory grew by more than a twentieth.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from ifc_bench.records import TrainingResult
from ifc_bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
ROUND_SECONDS = 600.0  # by far more than a round takes
KILLS = 20  # of a round
ROUND = ("--seeds=2", "--iterations=60")
LONG = ("--seeds=1000", "--iterations=10", "--retry=all")


def begin(
    store: Store, length: tuple[str, ...] = ROUND, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """A runner of a smoke sweep."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_ablations.py"), "run", "table3d", "--preset=smoke",
         "--window=5", "--device=cpu", *length, f"--results={store.results}",
         f"--runs={store.runs}"],
        stdout=subprocess.DEVNULL, stderr=stderr, text=True,
    )  # fmt: skip


def numbers(store: Store) -> dict[str, object]:
    """Losses and accuracies, which must be equal to the bit; the status of what has none."""
    found: dict[str, object] = {}
    for record in store.records("training", "evaluation"):
        result = record.result
        loss = result.loss if isinstance(result, TrainingResult) else None
        found[record.id] = loss or getattr(result, "metrics", record.status)
    return found


def below(runner: subprocess.Popen[str]) -> list[int]:
    """The processes below a runner: those that work, and the server they are forked from."""
    try:
        return [one.pid for one in psutil.Process(runner.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def left_over(directory: Path) -> list[int]:
    """Processes that write below a directory, or would."""
    found = []
    for process in psutil.process_iter():
        try:
            named = str(directory) in " ".join(process.cmdline())
            if named or any(file.path.startswith(str(directory)) for file in process.open_files()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def kill(pid: int) -> bool:
    """Whether the process was still there to be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def one_round(
    store: Store, rng: random.Random, runners: int, look: Callable[[], None] = lambda: None
) -> int:
    """Kill runners and what is below them until the sweep is whole; returns the number of kills.

    `look` is called about once a second.

    Raises:
        TimeoutError: if the sweep does not come to its end.
    """
    running = [begin(store) for _ in range(runners)]
    kills, until = 0, time.monotonic() + ROUND_SECONDS
    while any(one.poll() != 0 for one in running):
        if time.monotonic() > until:
            raise TimeoutError(f"{store.results}: no end in {ROUND_SECONDS:.0f} s")
        look()
        time.sleep(rng.uniform(0.2, 1.5))
        for place, runner in enumerate(running):
            if runner.poll() is not None:
                if runner.returncode != 0:  # killed, or its worker was: the same command again
                    running[place] = begin(store)
            elif kills < KILLS and rng.random() < 0.7:
                others = below(runner)
                chosen = rng.choice(others) if others and rng.random() < 0.6 else runner.pid
                kills += kill(chosen)
    return kills


class Watched:
    """The long sweep: what is below its runner is killed at times, the runner's memory is noted."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "results", directory / "runs")
        self.said = (directory.parent / "long.log").open("w+", encoding="utf-8")
        self.runner = begin(self.store, LONG, self.said.fileno())
        self.memory: list[int] = []  # bytes, RSS
        self.kills = 0

    def look(self, rng: random.Random) -> None:
        """Note the memory; kill something below it once in a while.

        Raises:
            RuntimeError: if the runner has ended; with the end of what it said.
        """
        if self.runner.poll() is not None:
            self.said.seek(0)
            raise RuntimeError(
                f"the long sweep's runner ended with {self.runner.returncode} after "
                f"{self.kills} kills: {self.said.read()[-3000:]}"
            )
        self.memory.append(psutil.Process(self.runner.pid).memory_info().rss)
        others = below(self.runner)
        if others and rng.random() < 0.02:
            self.kills += kill(rng.choice(others))

    def end(self) -> tuple[float, float]:
        """Stop it; RSS in MB early (second tenth of the time) and at the end (last tenth)."""
        self.runner.terminate()
        self.runner.wait(timeout=60)
        tenth = max(1, len(self.memory) // 10)
        early, late = self.memory[tenth : 2 * tenth], self.memory[-tenth:]
        return statistics.median(early) / 1e6, statistics.median(late) / 1e6


def main() -> int:
    """Rounds for the time that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plain = Store(directory / "plain" / "results", directory / "plain" / "runs")
        begin(plain, ROUND).wait()
        expected = numbers(plain)
        watched = Watched(directory / "watched")
        until, rounds, total = time.monotonic() + 60 * asked.minutes, 0, 0
        while time.monotonic() < until:
            place = directory / f"round{rounds}"
            store = Store(place / "results", place / "runs")
            total += one_round(store, rng, 2, partial(watched.look, rng))
            rounds += 1
            if numbers(store) != expected:
                faults.append(f"round {rounds}: other numbers, see {place}")
            if list((store.runs / "checkpoints").glob("*.damaged")):
                faults.append(f"round {rounds}: a damaged checkpoint")
            time.sleep(3)  # for processes that notice the end of their runner
            if pids := left_over(place):
                faults.append(f"round {rounds}: processes left over: {pids}")
            print(f"round {rounds}: {total} kills, {len(faults)} faults", flush=True)
        early, late = watched.end()
        time.sleep(3)
        if pids := left_over(directory):
            faults.append(f"processes left over at the end: {pids}")
        if late > 1.05 * early:
            faults.append("the memory of the long sweep's runner grew")
        states = [record.status for record in watched.store.records("training", "evaluation")]
        done, killed = states.count("ok"), states.count("killed")
        print(f"long sweep: {done} records, {killed} pieces killed, {watched.kills} kills")
        print(f"RSS of its runner: {early:.1f} MB early, {late:.1f} MB at the end")
        print("\n".join(faults) or "no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
