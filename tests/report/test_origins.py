"""One line of a table warns about records of several code revisions or package versions."""

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.report import render
from ifc_bench.report.origins import Origin, origin_lines
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.results import read_results
from ifc_bench.store import Store
from tests.report.test_profiles import process, record
from tests.report.test_tables import accuracy, save

PRESET = PRESETS["full"].model_copy(update={"seeds": 2, "windows": (5,)})
TABLE = TABLES["table3a"](PRESET)


def origin(revision: str = "a" * 40, dirty: bool = False, **packages: str) -> Origin:
    return Origin(revision, dirty, tuple(packages.items()))


def test_records_of_one_origin_are_not_mentioned():
    assert origin_lines([origin(torch="2.4.0"), origin(torch="2.4.0")]) == []
    assert origin_lines([]) == []


def test_several_revisions_are_one_short_line():
    mixed = [origin(letter * 40) for letter in "dabc"]
    assert origin_lines(mixed) == ["records of 4 code revisions (aaaaaaa, bbbbbbb, ccccccc, ...)"]


def test_other_packages_and_uncommitted_changes_are_a_warning():
    assert origin_lines(
        [origin(torch="2.4.0", numpy="2.4"), origin(torch="2.5.1", numpy="2.4")]
    ) == ["warning: 2 versions of torch (2.4.0, 2.5.1)"]
    assert origin_lines([origin(dirty=True)]) == [
        "warning: code with changes that no commit holds (aaaaaaa)"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"git_revision": "b" * 40}, "records of 2 code revisions ("),
        ({"packages": {"torch": "0.0.1"}}, "2 versions of torch (0.0.1, "),
        ({"packages": {"scipy": "0.0.1"}}, ""),
        ({"git_dirty": True}, "warning: code with changes that no commit holds"),
    ],
)
def test_the_head_of_a_table_names_mixed_origins(tmp_path, change, told):
    store = Store(tmp_path, tmp_path / "runs")
    works = TABLE.evaluations(PRESET, TABLE.rows[0], 5)
    for work, more in zip(works, ({}, change), strict=True):
        save(store, work, accuracy(0.3))
        record = store.load(work)
        assert record is not None
        clean = {"git_revision": "c" * 40, "git_dirty": False}
        origin = record.provenance.model_copy(update=clean | more)
        store.record_path(work).unlink()
        store.save(record.model_copy(update={"provenance": origin}))
    lines = [
        line
        for line in render(read_results(TABLE, PRESET, store)).splitlines()
        if any(word in line for word in ("revisions", "versions of", "no commit"))
    ]
    assert len(lines) == bool(told)
    assert all(told in line for line in lines)


def test_a_table_of_profiles_names_them_too():
    old, new = (record([process(1.0)], window=t, revision=letter * 40) for t, letter in
                ((5, "a"), (10, "b")))  # fmt: skip
    line = "- records of 2 code revisions (aaaaaaa, bbbbbbb)"
    assert line in render_profiles([old, new]).splitlines()
    assert "revisions" not in render_profiles([old])
