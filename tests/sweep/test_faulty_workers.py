"""A real sweep whose workers crash, hang, diverge and run out of memory, each once.

The others go on, each fault has its status, and what is tried again ends as if nothing had been.
"""

from collections import Counter
from pathlib import Path

import pytest

from ablations import PRESETS, TABLES
from benchmarks.random_kills import numbers
from ifc_bench.models.own import own_module
from ifc_bench.records import Device
from ifc_bench.store import Store
from ifc_bench.sweep import pace, scheduler
from ifc_bench.sweep.plan import Plan, make_plan
from ifc_bench.sweep.tasks import Event, Settings

MODULE = '''
import ctypes, os, signal
from pathlib import Path

import torch

from ifc_bench.models.communication import NoComm

FAULTS = Path({faults!r})


class Prone(NoComm):
    """No Comm; each file of FAULTS is one fault, which the first training to find it has."""

    faulty = False

    def forward(self, *given):
        waiting = sorted(FAULTS.iterdir())
        if self.training and waiting and not self.faulty:
            self.faulty = True
            waiting[0].unlink()
            getattr(self, waiting[0].suffix[1:])()
        return super().forward(*given)

    def crashes(self):
        ctypes.string_at(0)

    def is_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def runs_out_of_memory(self):
        torch.empty(10**15)

    def diverges(self):
        self.register_forward_hook(lambda *call: tuple(part * torch.nan for part in call[-1]))

    def hangs(self):
        os.kill(os.getpid(), signal.SIGSTOP)
'''
FAULTS = {
    "1.crashes": ("failed", "SIGSEGV"),
    "2.is_killed": ("killed", "SIGKILL"),
    "3.diverges": ("diverged", ""),
    "4.runs_out_of_memory": ("out_of_memory", ""),
    "5.hangs": ("timed_out", "ten times what such work took here"),
}


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory whose files make workers fail."""
    found = tmp_path / "faults"
    found.mkdir()
    (tmp_path / "prone.py").write_text(MODULE.format(faults=str(found)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(pace, "_LEAST_SECONDS", 6.0)
    return found


def planned(seeds: int) -> Plan:
    """Trainings of No Comm and of Prone."""
    smoke = PRESETS["smoke"].model_copy(update={"seeds": seeds, "windows": (5,)})
    table = TABLES["own"](smoke).with_communication(smoke, own_module("prone:Prone"))
    rows = (table.rows[0], table.rows[-1])
    table = table.model_copy(update={"rows": rows, "metrics": ("AP",)})
    return make_plan([table], smoke, Device(kind="cpu", name="cpu", threads=1))


def swept(plan: Plan, store: Store, workers: int) -> list[Event]:
    """The events of a sweep on so many workers."""
    events: list[Event] = []
    settings = Settings(("cpu",), threads=1, workers=workers)
    scheduler.run(plan, store, settings, lambda task, event: events.append(event))
    return events


def test_each_fault_has_its_status_and_leaves_the_others_alone(faults: Path, tmp_path: Path):
    plan = planned(seeds=len(FAULTS))
    whole = Store(tmp_path / "whole", tmp_path / "whole" / "runs")
    swept(plan, whole, workers=2)
    expected = numbers(whole)

    for fault in FAULTS:
        (faults / fault).touch()
    store = Store(tmp_path / "broken", tmp_path / "broken" / "runs")
    swept(plan, store, workers=1)
    assert list(faults.iterdir()) == []
    failed = {r.status: r.error or "" for r in store.records("training") if r.status != "ok"}
    assert set(failed) == {status for status, _ in FAULTS.values()}
    for status, message in FAULTS.values():
        assert message in failed[status]
    states = Counter(record.status for record in store.records("training"))
    assert states["ok"] == len(plan.trainings) - len(FAULTS)

    swept(plan, store.retrying("out_of_memory", "diverged", "timed_out"), workers=2)
    assert plan.missing(store) == []
    assert numbers(store) == expected


def test_what_runs_out_of_memory_beside_another_has_its_second_try_alone(faults, tmp_path):
    (faults / "1.runs_out_of_memory").touch()
    plan = planned(seeds=1)
    store = Store(tmp_path / "results", tmp_path / "runs")
    events = swept(plan, store, workers=2)
    assert [event.stage for event in events].count("again") == 1
    assert plan.missing(store) == []
