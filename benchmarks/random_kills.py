"""Kill the processes of smoke sweeps at random moments, for hours, and look at what is left.

    PYTHONPATH=. python benchmarks/random_kills.py --minutes 120

Round after round, two runners share one sweep; runners and workers get SIGKILL until enough died,
the same command is given again until the sweep is whole, and its losses and accuracies are compared
with those of an unbroken one. Beside them one long sweep, of which only workers are killed, shows
whether its runner's memory grows. Ends with exit code 1 where a number differs, a file is damaged,
a process is left over, or that memory grew by more than a twentieth.
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
from pathlib import Path

import psutil

from ifc_bench.records import TrainingResult
from ifc_bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
KILLS_A_ROUND = 20
ROUND = ("--seeds=2", "--iterations=60")
LONG = ("--seeds=1000", "--iterations=10", "--retry=all")


def begin(store: Store, length: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A runner of a smoke sweep."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_ablations.py"), "run", "table3d", "--preset=smoke",
         "--window=5", "--device=cpu", *length, f"--results={store.results}",
         f"--runs={store.runs}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def numbers(store: Store) -> dict[str, tuple[str, object]]:
    """Statuses, losses and accuracies, which must be equal to the bit."""
    found: dict[str, tuple[str, object]] = {}
    for record in store.records("training", "evaluation"):
        result = record.result
        loss = result.loss if isinstance(result, TrainingResult) else None
        found[record.id] = (record.status, loss or getattr(result, "metrics", None))
    return found


def workers(runner: subprocess.Popen[bytes]) -> list[int]:
    """The processes below a runner that do work, and not the server they are forked from."""
    try:
        below = psutil.Process(runner.pid).children(recursive=True)
        return [one.pid for one in below if one.num_threads() > 1]
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


def one_round(store: Store, rng: random.Random, watched: Watched) -> int:
    """Kill until the sweep is whole; returns the number of kills."""
    running = [begin(store, ROUND) for _ in range(2)]
    kills = 0
    while any(one.poll() != 0 for one in running):
        watched.look(rng)
        time.sleep(rng.uniform(0.2, 1.5))
        for place, runner in enumerate(running):
            if runner.poll() is not None:
                if runner.returncode != 0:
                    running[place] = begin(store, ROUND)
            elif kills < KILLS_A_ROUND and rng.random() < 0.5:
                below = workers(runner)
                chosen = rng.choice(below) if below and rng.random() < 0.6 else runner.pid
                kills += kill(chosen)
    return kills


class Watched:
    """The long sweep: its workers are killed now and then, its runner's memory is noted."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "results", directory / "runs")
        self.runner = begin(self.store, LONG)
        self.memory: list[int] = []  # bytes, RSS
        self.kills = 0

    def look(self, rng: random.Random) -> None:
        """Note the memory; kill a worker once in a while."""
        self.memory.append(psutil.Process(self.runner.pid).memory_info().rss)
        below = workers(self.runner)
        if below and rng.random() < 0.02:
            self.kills += kill(rng.choice(below))

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
            total += one_round(store, rng, watched)
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
        states = [status for status, _ in numbers(watched.store).values()]
        done, killed = states.count("ok"), states.count("killed")
        print(f"long sweep: {done} records, {killed} pieces killed, {watched.kills} kills")
        print(f"RSS of its runner: {early:.1f} MB early, {late:.1f} MB at the end")
        print("\n".join(faults) or "no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
