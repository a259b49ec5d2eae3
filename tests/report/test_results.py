"""A report reads each record once, and computes each difference once."""

from collections import Counter

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.report import differences
from ifc_bench.report.publish import publish
from ifc_bench.report.results import Results, read_all
from ifc_bench.store import Store
from tests.conftest import ROOT

BASELINE = ROOT / "results" / "baseline"
FULL = PRESETS["full"]


@pytest.fixture
def store() -> Store:
    return Store(BASELINE, ROOT / "runs")


def counting(monkeypatch, owner, name) -> Counter:
    """Count the calls of a function by its arguments, as text."""
    calls: Counter = Counter()
    real = getattr(owner, name)

    def counted(*arguments, **named):
        calls[repr((arguments, named))] += 1
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_a_report_computes_every_difference_once(store, tmp_path, monkeypatch):
    """Table 3(a): 12 differences over all videos, and 12 in each of six situations."""
    tests = counting(monkeypatch, differences, "welch")
    shares = counting(monkeypatch, differences, "probability_of_improvement")
    monkeypatch.setattr("ifc_bench.report.publish._drawn", lambda *_: None)
    monkeypatch.setattr("ifc_bench.report.publish._page", lambda *_: "")
    results = Results.read(TABLES["table3a"](FULL), FULL, store)
    publish([results], FULL, store, tmp_path)
    compared = [*results.differences, *results.by_situation]
    assert len(compared) == 12 + 72
    assert shares.total() == len(compared)
    best = 6 * 4 * 2  # all pairs of four rows, at four windows, for AP and AP75
    paper = 3 * 4  # the printed differences, in a table of their own
    assert tests.total() == len(compared) + best + paper


def test_a_report_reads_each_record_once(store, tmp_path, monkeypatch):
    loads = counting(monkeypatch, Store, "load")
    results = read_all([TABLES["table3a"](FULL)], FULL, store)
    read = loads.total()
    assert read == 4 * 5 + 4 * 4 * 5, "20 trainings, each at four windows"
    monkeypatch.setattr("ifc_bench.report.publish._drawn", lambda *_: None)
    monkeypatch.setattr("ifc_bench.report.publish._page", lambda *_: "")
    publish(results, FULL, Store(tmp_path / "none", tmp_path), tmp_path / "out")
    assert loads.total() == read, "what publishes a table needs no store for it"
