"""Tables of a dry run: rows, lack of memory, and the sweep on 1 to 8 GPUs."""

import pytest

from ifc_bench.records import Device
from ifc_bench.records.dry_run import Steps, Validation
from ifc_bench.report.dry_run import iterations_grid, space_grid, sweep_grid
from ifc_bench.report.layout import write
from ifc_bench.sweep.costs import kinds
from tests.sweep.test_costs import plan_of, run_of

GPU = Device(kind="cuda", name="a GPU")
CPU = Device(kind="cpu", name="a CPU", threads=2)
TESTED = Validation(share=0.5, seconds=18.0, curve_seconds=0.0, predictions_bytes=10**9)


@pytest.fixture
def plan():
    return plan_of("quick", "table3a")


def runs_of(plan, **changes):
    return [(kind, run_of(8, **changes)) for kind in kinds(plan)]


def test_a_row_for_each_number_of_clips(plan):
    grid = iterations_grid(runs_of(plan), GPU)
    assert len(grid.rows) == 4 * 4
    assert dict(zip(grid.columns, grid.rows[0], strict=True)) == {
        "training": "full", "runs": "2", "clips at a time": "8 (the batch)",
        "largest frames": "360x640", "peak GB": "8.00", "reserved GB": "16.00",
        "s an iteration": "8.000", "range": "8.000 to 8.000", "n": "3",
        "s to load a batch": "0.800",
    }  # fmt: skip
    assert grid.rows[1][:3] == ["", "", "4"]
    assert grid.values[1]["clips_at_a_time"] == 4
    assert grid.values[1]["seconds"] == [8.0, 8.0, 8.0]
    head = "\n".join(grid.head)
    assert "measured on a GPU; 10.0 GB of memory were free" in head
    assert "max_memory_allocated" in head


def test_seconds_are_a_median_with_its_range(plan):
    steps = (Steps(8, (1.0, 4.0, 2.0), 1, 1),)
    grid = iterations_grid(runs_of(plan, steps=steps), GPU)
    assert grid.rows[0][6:9] == ["2.000", "1.000 to 4.000", "3"]


def test_a_cpu_has_no_reserved_memory_and_says_how_its_peak_is_found(plan):
    grid = iterations_grid(runs_of(plan, on_gpu=False), CPU)
    assert "reserved GB" not in grid.columns
    assert {len(row) for row in grid.rows} == {len(grid.columns)}
    head = "\n".join(grid.head)
    assert "a CPU, 2 threads" in head
    assert "from its profiler" in head


def test_lack_of_memory_says_at_what_batch(plan):
    grid = iterations_grid(runs_of(plan, most=2), GPU)
    assert [row[6] for row in grid.rows[:4]] == [
        "out of memory at 8 clips", "out of memory at 4 clips", "8.000", "8.000",
    ]  # fmt: skip
    assert [row[4] for row in grid.rows[:2]] == ["–", "–"]


def test_the_sweep_on_more_gpus_with_and_without_accumulation(plan):
    grid = sweep_grid(plan, runs_of(plan, tests=TESTED), GPU, workers=1)
    assert [row[:3] for row in grid.rows] == [
        ["1", "without", "8"], ["1", "with", "4"], ["2", "without", "4"], ["2", "with", "2"],
        ["4", "without", "2"], ["4", "with", "1"], ["8", "without", "1"],
    ]  # fmt: skip
    rows = [dict(zip(grid.columns, row, strict=True)) for row in grid.rows]
    assert rows[0]["training h"] == "6.04"  # 8 runs of 340 iterations of 8 s
    assert rows[6]["training h"] == "0.76"
    assert {row["tests h"] for row in rows} == {"0.08"}
    hours = [float(rows[i]["all h"]) for i in (0, 2, 4, 6)]
    for gpus, shown in zip((1, 2, 4, 8), hours, strict=True):
        [row] = [r for r in rows if (r["GPUs"], r["accumulation"]) == (str(gpus), "without")]
        assert float(row["GPU-hours"]) == pytest.approx(gpus * shown, abs=0.05)
    assert "(estimate)" in grid.title
    assert "linear scaling, no communication was measured" in "\n".join(grid.head)


def test_where_memory_lacks_the_sweep_names_the_trainings_and_accumulation_runs(plan):
    grid = sweep_grid(plan, runs_of(plan, most=2, tests=TESTED), GPU, workers=1)
    rows = {(row[0], row[1]): row for row in grid.rows}
    assert rows["1", "without"][6] == (
        "does not run: full (out of memory at 8 clips), none (out of memory at 8 clips), "
        "decomposed (out of memory at 8 clips) and 1 more"
    )
    assert rows["1", "without"][7] == "–"
    assert rows["1", "with"][2:4] == ["2", "6.04"]
    assert rows["4", "without"][3] == "1.51"


def test_a_cpu_trains_networks_side_by_side(plan):
    runs = runs_of(plan, tests=TESTED, on_gpu=False, load_seconds=(0.0,))
    one, two = (sweep_grid(plan, runs, CPU, workers) for workers in (1, 2))
    assert one.columns[0] == "processes"
    assert [row[:3] for row in two.rows] == [["2", "without", "8"], ["2", "with", "4"]]
    assert (one.rows[0][3], two.rows[0][3]) == ("6.04", "3.02")
    assert sweep_grid(plan, runs, CPU, workers=100).rows[0][0] == "8", "there are no more"


def test_tests_that_were_not_timed_say_so(plan):
    untimed, timed = (
        "\n".join(sweep_grid(plan, runs_of(plan, tests=tests), GPU, 1).head)
        for tests in (None, TESTED)
    )
    assert "from the preset's 8 s for full, none, decomposed and 1 more" in untimed
    assert "the preset's" not in timed


def test_loading_ahead_is_told_for_gpus_alone(plan):
    on_gpu = sweep_grid(plan, runs_of(plan), GPU, 1).head
    assert any("4 processes for each GPU load ahead" in line for line in on_gpu)
    on_cpu = sweep_grid(plan, runs_of(plan, on_gpu=False), CPU, 1).head
    assert any("is added to that of an iteration" in line for line in on_cpu)


def test_disk_has_a_sum(plan):
    grid = space_grid(plan, runs_of(plan, tests=TESTED, checkpoint_bytes=10**9))
    assert [row[:3] for row in grid.rows] == [
        ["checkpoints", "8", "8.000"], ["predictions", "32", "16.000"],
        ["records", "56", "0.001"], ["all", "96", "24.001"],
    ]  # fmt: skip
    assert "### Dry run: disk (estimate)" in write(grid, "github")
