"""`compare`: rows of two sets of profiles against each other, and the exit code."""

import json

import pytest

from ifc_bench.config import InterFrame, ModelConfig, NoComm
from ifc_bench.errors import UserError
from ifc_bench.records import ProcessSamples
from ifc_bench.report.compare import PLAIN, Question, compare, exit_code
from ifc_bench.report.comparison_table import comparison_grid
from ifc_bench.report.layout import Caution, write
from ifc_bench.report.rates import rates_of
from ifc_bench.report.sides import Side, read_side
from ifc_bench.report.verdicts_of_speed import Limits
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli
from tests.report.test_profiles import TURING, V100, card_log, process, record, timed

CPU = "a processor"
FIVE = [1.00, 1.01, 0.99, 1.02, 0.98]
SLOWER = (FIVE, [1.10, 1.11, 1.09, 1.12, 1.08])


@pytest.fixture
def folders(tmp_path):
    """Return a function that writes two directories, from the records of A and of B."""

    def make(*groups):
        for name, records in zip("ab", groups, strict=True):
            for one in records:
                Store(tmp_path / name, tmp_path).save(one)
        return str(tmp_path / "a"), str(tmp_path / "b")

    return make


def sides(a, b, device=CPU) -> tuple[Side, Side]:
    """Two sides of one row, from the processes of A and of B, or the seconds of each."""
    made = []
    for name, side in (("a", a), ("b", b)):
        processes = [one if isinstance(one, ProcessSamples) else process(one) for one in side]
        one = record(processes, device=device, revision=name * 40)
        made.append(Side(f"side {name}", (one,), frozenset()))
    return made[0], made[1]


def table(both, question=PLAIN):
    return write(comparison_grid(*both, compare(*both, question), question), "github")


def older(seconds: float) -> ProcessSamples:
    """A process as older versions wrote it."""
    return process(seconds, masks=None, network=None, results=timed(seconds))


def clocked(seconds: float, mhz: float | None, cycles_network: float = 1.0) -> ProcessSamples:
    """A process with that SM clock in all its passes."""
    clocks = [mhz] * 6
    return process(
        seconds,
        card_log(),
        masks=timed(seconds, sm_clock_mhz=clocks),
        network=timed(cycles_network * seconds / 4, sm_clock_mhz=clocks),
    )


def test_a_slower_row():
    both = sides(*SLOWER)
    [row] = compare(*both)
    assert row.ratio.value == pytest.approx(1 / 1.1, rel=0.01)
    low, high = row.ratio.interval
    assert low < row.ratio.value < high < 0.95
    assert row.p == pytest.approx(0.0079, abs=1e-3)
    assert str(row.verdict) == "slower: 9.1% [7.1%, 11.1%], n = 5, 5", "a CPU has no SM clock"
    assert exit_code([row], []) == 1
    [wide] = compare(*both, Question(limits=Limits(margin=0.2)))
    assert wide.verdict.word == "same"
    assert exit_code([wide], []) == 0
    text = table(both)
    assert "- A: " in text
    assert "(aaaaaaa)" in text
    assert "ratio: B / A of FPS to masks, with its 95% interval" in text
    assert "cycle" not in text, "of a CPU"


def test_a_faster_row():
    [row] = compare(*sides(*reversed(SLOWER)))
    assert row.verdict.word == "faster"
    assert exit_code([row], []) == 0


def test_noise_cannot_be_told():
    [row] = compare(*sides([1.0, 1.3, 0.9, 1.2, 1.0], [1.1, 1.4, 1.0, 1.2, 0.9]))
    assert row.verdict.word == "cannot tell"
    assert exit_code([row], []) == 3


def test_the_interval_decides_and_not_the_rank_test():
    """Two processes a side reach no p below 1/3."""
    [row] = compare(*sides([1.0, 1.01], [2.0, 2.01]))
    assert row.p == pytest.approx(1 / 3)
    assert row.verdict.word == "slower"


def test_one_process_has_no_p():
    both = sides([1.0], [2.0, 2.01])
    [row] = compare(*both)
    assert (row.p, row.ratio.interval, row.verdict.word) == (None, None, "cannot tell")
    assert "cannot tell: one process in A" in table(both)


def test_the_level_of_the_interval():
    both = sides(FIVE, [1.03 * s for s in FIVE])
    question = Question(limits=Limits(margin=0.01, alpha=0.05))
    assert compare(*both, question)[0].verdict.word == "slower"
    strict = Question(limits=Limits(margin=0.01, alpha=0.001))
    assert compare(*both, strict)[0].verdict.word == "cannot tell"
    assert "with its 99.9% interval" in table(both, strict)
    assert "| 99.9% " in table(both, strict)


def test_a_worse_row_comes_before_one_that_cannot_be_told():
    slower, unknown = compare(*sides(*SLOWER)), compare(*sides([1.0], [1.0]))
    assert exit_code([*unknown, *slower], []) == 1
    assert exit_code([], []) == 0


def test_memory_needs_no_interval():
    def heavy(seconds: float, share: float) -> ProcessSamples:
        peak = int(share * 1_000_000_000)
        memory = process(1.0).memory.model_copy(update={"peak_allocated_bytes": peak})
        return process(seconds, memory=memory)

    memory = Question("memory")
    for share, word, code in (
        (1.0, "same", 0),
        (1.04, "same", 0),
        (1.1, "more", 1),
        (0.9, "less", 0),
    ):
        both = sides([1.0], [heavy(1.0, share)])
        rows = compare(*both, memory)
        assert (rows[0].verdict.word, exit_code(rows, [])) == (word, code)
    assert "ratio: B / A of peak bytes; it does not vary" in table(both, memory)
    assert "less: 10.0%" in table(both, memory)


def test_variants_and_gpus_are_compared_when_named(tmp_path):
    store = Store(tmp_path / "r", tmp_path)
    for device in (V100, TURING):
        for talk, seconds in ((NoComm(), 1.0), (InterFrame(), 1.5)):
            model = ModelConfig(communication=talk)
            store.save(record([process(seconds)] * 2, device=device, model=model))
    folder = str(tmp_path / "r")
    rows = compare(read_side(f"{folder}:variant=none"), read_side(f"{folder}:variant=ifc"))
    assert [round(row.ratio.value, 3) for row in rows] == [0.667, 0.667]
    rows = compare(read_side(f"{folder}:device=V100"), read_side(f"{folder}:device=RTX 2080 Ti"))
    assert [row.ratio.value for row in rows] == [1.0, 1.0]
    assert read_side(f"{folder}:commit=aaa,T=5").records
    elsewhere = Store(tmp_path / "s", tmp_path)
    elsewhere.save(record([process(1.0)], device=CPU))
    with pytest.raises(UserError, match="to compare across it, name it on both sides"):
        compare(read_side(f"{folder}:variant=ifc"), read_side(str(tmp_path / "s")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "has no directory profiles"),
        ("{r}:colour=red", "'colour=red' is no field=value of device"),
        ("{r}:T=99", "no profile fits"),
    ],
)
def test_sides_that_are_none(tmp_path, text, message):
    Store(tmp_path / "r", tmp_path).save(record([process(1.0)]))
    with pytest.raises(UserError, match=message):
        read_side(text.format(r=tmp_path / "r"))


def test_a_slowdown_of_the_clock_cannot_be_told():
    """The same cycles at 1710 and at 1500 MHz."""
    cycles = [1.71e9 * s for s in FIVE]
    both = sides(
        [clocked(c / 1.71e9, 1710) for c in cycles],
        [clocked(c / 1.5e9, 1500) for c in cycles],
        TURING,
    )
    [row] = compare(*both)
    assert row.ratio.value == pytest.approx(1500 / 1710)
    assert row.cycles.ratio.value == pytest.approx(1)
    assert row.cycles.clocks == (1710, 1500)
    assert row.verdict.word == "cannot tell"
    assert "the SM clock differs: 1710 against 1500 MHz; in cycles the ratio is 1.000" in (
        row.verdict.reason
    )
    assert "must hold in frames per cycle of the SM clock too" in table(both)
    [value] = json.loads(write(comparison_grid(*both, [row]), "json"))["values"]
    assert value["cycles_ratio"] == pytest.approx(1)
    assert value["cycles_low"] < 1 < value["cycles_high"]
    assert value["sm_clock_mhz"] == [1710, 1500]
    assert (value["verdict"], value["reason"]) == ("cannot tell", row.verdict.reason)


def test_a_slowdown_in_cycles_too_stands():
    a, b = SLOWER
    both = sides([clocked(s, 1500) for s in a], [clocked(s, 1505) for s in b], TURING)
    [row] = compare(*both)
    assert row.verdict.word == "slower"
    assert "in cycles 9.4% [" in row.verdict.reason


def test_cycles_are_of_the_number_that_is_compared():
    """To masks the clock explains it; the network took 1.2 times the cycles as well."""
    both = sides(
        [clocked(s, 1710) for s in FIVE],
        [clocked(1.14 * s, 1500, cycles_network=1.2) for s in FIVE],
        TURING,
    )
    assert compare(*both)[0].verdict.word == "cannot tell"
    assert compare(*both, Question(number="network"))[0].verdict.word == "slower"


def test_a_gpu_without_clocks_keeps_its_verdict_with_a_remark():
    a, b = SLOWER
    one_missing = timed(b[0], sm_clock_mhz=[1500.0] * 5 + [None])
    first = process(b[0], card_log(), masks=one_missing)
    for unknown in ([process(s) for s in b], [first, *[clocked(s, 1500) for s in b[1:]]]):
        [row] = compare(*sides([clocked(s, 1500) for s in a], unknown, TURING))
        assert row.cycles is None
        assert row.verdict.word == "slower"
        assert row.verdict.reason.endswith("; the SM clock is not known in B")
    [row] = compare(*sides(a, b, TURING))
    assert row.verdict.reason.endswith("; the SM clock is not known in A and B")


def test_cycles_of_two_gpu_models_are_not_compared(folders):
    made = [
        record([clocked(s, 1500) for s in seconds], device=device)
        for seconds, device in zip(SLOWER, (V100, TURING), strict=True)
    ]
    folder, _ = folders(made, [])
    both = read_side(f"{folder}:device=V100"), read_side(f"{folder}:device=RTX 2080 Ti")
    [row] = compare(*both)
    assert (row.cycles, row.verdict.word) == (None, "slower")
    assert "SM clock" not in row.verdict.reason
    assert "two GPU models: clock cycles of one are not those of the other" in table(both)


def test_passes_at_a_lowered_clock_count_in_neither():
    masks = timed(1.0).model_copy(
        update={
            "wall_seconds": [1.0, 1.0, 1.0, 1.0, 9.0],
            "sm_clock_mhz": [1500.0, 1500.0, 1500.0, 1500.0, 300.0],
        }
    )
    made = record([process(1.0, card_log(), masks=masks)], device=TURING)
    rates = rates_of(made, "masks")
    assert (rates.fps, rates.clock) == ((20.0,), 1500)
    assert rates.per_cycle == pytest.approx((20 / 1.5e9,))
    even = timed(1.0).model_copy(update={
        "wall_seconds": [1.0, 3.0], "sm_clock_mhz": [1500.0, 1000.0]})  # fmt: skip
    rates = rates_of(record([process(1.0, masks=even)], device=TURING), "masks")
    assert rates.fps == (10.0,)
    assert rates.per_cycle == pytest.approx((20 / 2.25e9,)), "a median of cycles, not of seconds"


@pytest.mark.parametrize(
    ("number", "fps", "named"),
    [
        (None, 20.0, "FPS to masks"),
        ("masks", 20.0, "FPS to masks"),
        ("results", 16.0, "FPS to results.json"),
        ("network", 20.0, "FPS of the network"),  # 5 frames in a quarter of the time
    ],
)
def test_each_of_the_three_numbers_can_be_compared(number, fps, named):
    both = sides([1.0], [1.0, 1.0])
    question = Question(number=number)
    [row] = compare(*both, question)
    assert row.a == pytest.approx((fps,))
    assert row.b == pytest.approx((fps, fps))
    assert f"ratio: B / A of {named}, with" in table(both, question)


def test_older_records_are_compared_to_run_lengths():
    both = sides([older(1.0), older(1.0)], [older(2.0), older(2.0)])
    [row] = compare(*both)
    assert row.ratio.value == pytest.approx(0.5)
    assert "ratio: B / A of FPS to run lengths (older records)" in table(both)
    assert "is older" not in table(both)


def test_an_older_record_does_not_fit_a_newer_one():
    for number, message in (
        (None, "is an older record without FPS to masks, which the other side has"),
        ("network", "has no FPS of the network"),
        ("masks", "has no FPS to masks"),
    ):
        both = sides([older(1.0)], [process(1.0)])
        with pytest.raises(UserError, match=message) as told:
            compare(*both, Question(number=number))
        assert both[0].text in str(told.value)
    for question in (Question(number="results"), Question("memory")):
        lines = comparison_grid(*both, compare(*both, question), question).head
        [line] = [line for line in lines if isinstance(line, Caution)]
        assert line.startswith("one side is older: older records end at run lengths")


def test_unequal_work_is_told(folders):
    def rows(*contents: str | None) -> list:
        windows = (5, 10)
        return [
            record([process(1.0, content=content)] * 2, device=CPU, window=window)
            for window, content in zip(windows, contents, strict=True)
        ]

    def told(a: list, b: list) -> list[str]:
        both = [Side("x", tuple(side), frozenset()) for side in (a, b)]
        lines = comparison_grid(*both, compare(*both)).head
        return [line for line in lines if isinstance(line, Caution)]

    assert told(rows("a", "b"), rows("a", "b")) == []
    assert told(rows(None, None), rows("a", "b")) == [], "not known"
    [some] = told(rows("a", "b"), rows("a", "c"))
    assert some.startswith("unequal work: tracker and output were given other tracks in A than in")
    assert "T=10" in some
    assert "T=5" not in some
    [every] = told(rows("a", "b"), rows("c", "d"))
    assert every.endswith(": all rows")
    real = [
        one.model_copy(update={"work": one.work.model_copy(update={
            "protocol": one.work.protocol.model_copy(update={"edition": 1})})})
        for one in rows("a", "b")
    ]  # fmt: skip
    assert not real[0].work.equal_work
    assert told(real, rows("c", "d")) == [], "not of recorded tracks"


def test_the_exit_codes_of_the_command(folders):
    a, b = folders(*([record([process(s) for s in side], device=CPU)] for side in SLOWER))
    worse = run_cli("compare", a, b)
    assert worse.returncode == 1, worse.stderr
    assert "| slower: 9.1% [" in worse.stdout
    assert run_cli("compare", b, a).returncode == 0
    assert run_cli("compare", a, b, "--margin", "0.2").returncode == 0
    unsure = run_cli("compare", a, b, "--threshold=0.1")
    assert unsure.returncode == 3
    assert "| cannot tell: slower, but the interval [" in unsure.stdout
    assert unsure.stderr == "note: --threshold is now called --margin\n"
    assert run_cli("compare", a, b, "--number=network").returncode == 1
    assert run_cli("compare", a, b, "--metric=memory").returncode == 0
    assert run_cli("compare", a, b, "--margin=0.03", "--alpha=0.1%").returncode == 1


def test_bad_input_of_the_command_is_one_line(folders):
    a, b = folders([record([process(1.0)])], [record([process(1.0)])])
    assert "has no directory profiles" in one_line_error(run_cli("compare", a, "nowhere"))
    both = run_cli("compare", a, b, "--number=masks", "--metric=memory")
    assert "--number masks: is for FPS" in one_line_error(both)
    assert "--alpha" in one_line_error(run_cli("compare", a, b, "--alpha=0"))
