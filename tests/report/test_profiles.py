"""Tables and comparisons of profiles, from records that these tests make."""

import json
from functools import lru_cache

import pandas as pd
import pytest

from ifc_bench.config import (
    ROOFED,
    Count,
    Footprint,
    InterFrame,
    ModelConfig,
    NoComm,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
    SmallBackbone,
)
from ifc_bench.errors import UserError
from ifc_bench.measuring.counts import count_all, model_costs
from ifc_bench.records import (
    Device,
    Energy,
    GpuFacts,
    GpuLog,
    GpuSamples,
    Memory,
    ProcessSamples,
    ProfileResult,
    Provenance,
    Rates,
    Record,
    Timed,
)
from ifc_bench.report import plots
from ifc_bench.report.forecast import forecast_grid, learn
from ifc_bench.report.layout import write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.published import published
from ifc_bench.report.roofline import least_seconds, pass_costs, roofline_frame
from ifc_bench.report.speeds import row_of, speed_of
from ifc_bench.store import Store

V100, TURING = "Tesla V100-SXM2-32GB", "NVIDIA GeForce RTX 2080 Ti"


def card_log(bits: int = 0, foreign: int = 0, energy: float | None = None) -> GpuLog:
    return GpuLog(
        facts=GpuFacts(),
        samples=GpuSamples(seconds=[0.0], slowdown_bits=[bits], power_watts=[100.0]),
        foreign_processes=foreign,
        energy_joules=energy,
    )


def timed(seconds: float, log: GpuLog | None = None, **changes: object) -> Timed:
    made = Timed(
        wall_seconds=[seconds] * 6,
        device_seconds=None if log is None else [0.9 * seconds] * 6,
        stopped="precise",
    )
    return made.model_copy(update=changes)


def process(seconds: float, log: GpuLog | None = None, **changes: object) -> ProcessSamples:
    made = ProcessSamples(
        place=0,
        warmup_wall_seconds=[9.0],
        network=timed(seconds / 4, log),
        masks=timed(seconds, log),
        results=timed(1.25 * seconds, log),
        reading_wall_seconds=[2 * seconds],
        scope_seconds={scope: [seconds / 10] for scope in (*ROOFED, "tracker", "output")},
        settings={},
        rates=Rates(macs_per_second=1e12, bytes_per_second=1e12),
        memory=Memory(
            weights_bytes=100,
            peak_allocated_bytes=1_000_000_000,
            scope_increase_bytes={"encoder": 5_000_000},
            host_rss_bytes=3,
        ),
        card=log,
    )
    return made.model_copy(update=changes)


def record(
    processes: list[ProcessSamples],
    device: str = TURING,
    model: ModelConfig | None = None,
    window: int | None = 5,
    status: str = "ok",
    revision: str = "a" * 40,
    **changes: object,
) -> Record:
    work = Profile(
        weights=RandomWeights(model=model or ModelConfig()),
        footage=NoiseFrames(frames=20, height=360, width=640),
        window=window,
        device=device,
        protocol=Protocol(processes=5),
    )
    on_gpu = device in (V100, TURING)
    result = ProfileResult(
        frames=[20], processes=processes, asked_bytes=None if processes else 2 << 30
    )
    return Record(
        id=work.id,
        status=status,
        work=work,
        attention=work.model.attention,
        split_hash=None,
        provenance=Provenance(
            created="now",
            git_revision=revision,
            git_dirty=False,
            python="3",
            platform="x",
            packages={},
            device=Device(
                kind="cuda" if on_gpu else "cpu", name=device, threads=None if on_gpu else 1
            ),
        ),
        result=result,
    ).model_copy(update=changes)


def test_the_spread_is_between_processes():
    """Passes within a process are equal here, but processes differ."""
    speed = speed_of(record([process(1.0), process(2.0)]))
    assert speed is not None
    assert (speed.fps, speed.n) == (15.0, 2)
    assert speed.std == pytest.approx(50**0.5)
    assert speed.shown == "15.0±7.1†", "two processes are few"


def test_a_row_holds_everything_that_is_derived():
    energy = Energy(
        joules=1200, window_seconds=5, pass_seconds=1, source="energy counter", step_seconds=0.02,
        idle_watts=40,
    )  # fmt: skip
    row = row_of(record([process(1.0, card_log(), energy=energy)]))
    assert row["median_ms"] == row["p5_ms"] == row["p95_ms"] == 50.0
    assert (row["low_ms"], row["high_ms"]) == (None, None), "one process tells no interval"
    assert row["end"] == "to masks"
    assert (row["network_fps"], row["masks_fps"], row["results_fps"]) == (20.0, 20.0, 16.0)
    assert row["network_mean_fps"] == pytest.approx(20.0)
    assert row["graph_fps"] is None
    assert row["device_ms"] == 45.0
    assert row["fps_with_reading"] == 10.0
    assert row["encoder_ms"] == 5.0
    assert row["joules_per_frame"] == pytest.approx(240.0 / 20)
    assert row["joules_above_idle_per_frame"] == pytest.approx(200.0 / 20)
    assert (row["energy_window_seconds"], row["energy_step_seconds"]) == (5, 0.02)
    assert row["energy_from"] == "energy counter"
    assert row["peak_bytes"] == 1_000_000_000


def test_the_interval_is_between_processes():
    """Passes of one process depend on each other, and do not narrow it."""
    row = row_of(record([process(1.0), process(1.1), process(1.2)]))
    half = 4.302653 * 5 / 3**0.5
    assert row["median_ms"] == pytest.approx(55)
    assert (row["low_ms"], row["high_ms"]) == pytest.approx((55 - half, 55 + half))


def test_older_records_have_one_number_that_ends_at_run_lengths():
    new = process(1.0)
    content = new.model_dump(mode="json", exclude={"masks", "network", "results"})
    old = ProcessSamples.model_validate(
        {**content, "wall_seconds": [2.0] * 6, "device_seconds": None, "stopped": "cap"}
    )
    assert old.results == Timed(wall_seconds=[2.0] * 6, stopped="cap")
    row = row_of(record([old]))
    assert row["end"] == "to results.json"
    assert (row["fps"], row["results_fps"], row["masks_fps"]) == (10.0, 10.0, None)
    text = render_profiles([record([old])])
    assert "1 older records have one number" in text
    assert "paper FPS" not in render_profiles([record([old], device=V100)], paper=PaperNumbers())


def test_equal_work_is_told_and_unequal_work_is_a_warning():
    def row(kind, content):
        return record([process(1.0, content=content)], model=ModelConfig(communication=kind))

    same = render_profiles([row(NoComm(), "a"), row(InterFrame(), "a")])
    assert "equal work: tracker and output are given the same recorded tracks" in same
    assert "warning" not in same
    other = render_profiles([row(NoComm(), "a"), row(InterFrame(), "b")])
    assert f"warning: unequal work at T=5, 360x640 on {TURING}" in other
    assert "equal work: tracker" not in other


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (card_log(bits=0x40), "thermal slowdown (hardware)"),
        (card_log(bits=0x08), "hardware slowdown"),
        (card_log(bits=0x80), "power brake"),
        (card_log(foreign=2), "2 other processes on the GPU"),
    ],
)
def test_an_untrustworthy_row_is_marked_and_the_table_has_the_reason(log, reason):
    text = render_profiles([record([process(1.0), process(1.0, log)])])
    assert f"! not to be trusted: ifc M=8 T=5 on {TURING}: {reason}" in text
    assert "20.00±0.00!" in text
    clean = render_profiles([record([process(1.0, card_log())])])
    assert "not to be trusted" not in clean
    assert "!" not in clean


def test_a_power_cap_and_a_wide_interval_are_noted():
    capped = timed(1.0, card_log(), stopped="cap")
    text = render_profiles([record([process(1.0, card_log(bits=4), masks=capped)])])
    assert "note: ifc M=8 T=5" in text
    assert "power cap in 1 of 1 readings" in text
    assert "1 of 1 processes reached their time limit" in text
    assert "not to be trusted" not in text


def test_out_of_memory_is_in_the_table_with_the_requested_size():
    text = render_profiles([record([], status="out_of_memory"), record([process(1.0)], window=10)])
    assert "out of memory (requested 2147 MB)" in text
    assert "20.00" in text


def test_each_line_is_of_one_gpu_and_a_cpu_is_labelled():
    text = render_profiles([record([process(1.0)]), record([process(0.5)], device=V100)])
    lines = [line for line in text.splitlines() if "ifc M=8" in line]
    assert len(lines) == 2
    assert [V100 in line for line in lines] == [False, True]
    assert "CPU" not in text
    assert "measured on a CPU" in render_profiles([record([process(1.0)], device="a processor")])


def test_published_speeds_are_only_listed_for_their_own_gpu():
    """Table 3(a) was measured on a V100."""
    paper = PaperNumbers()
    here, there = record([process(1.0)], device=V100), record([process(1.0)])
    assert published(here, paper) == f"{paper.find('3a', 'IFC', 5, 'FPS')[0]:.1f}"
    assert published(there, paper) == "–"
    assert "paper FPS" in render_profiles([here], paper=paper)
    assert "paper FPS" not in render_profiles([there], paper=paper)
    strided = here.model_copy(update={"work": here.work.model_copy(update={"stride": 3})})
    assert published(strided, paper) == "–", "another stride is another measurement"
    fused = record([process(1.0)], device=V100, model=ModelConfig(attention="efficient"))
    small = record([process(1.0)], device=V100, model=ModelConfig(backbone=SmallBackbone()))
    assert published(fused, paper) == published(small, paper) == "–", "another network"


def test_values_at_full_precision():
    values = json.loads(render_profiles([record([process(3.0)])], "json"))["values"]
    assert values[0]["fps"] == 20 / 3


@lru_cache
def counted(work: Count):
    return model_costs(work.model, work.frames, work.height, work.width)


def measured(talk, window: int, device: str, slower: float = 2) -> Record:
    """A scope takes `slower` times what a device of 1e12 MACs and bytes a second needs."""
    model = ModelConfig(communication=talk)
    made = record([process(1.0)], device=device, model=model, window=window)
    rates = Rates(macs_per_second=1e12, bytes_per_second=1e12)
    costs = pass_costs(made.work, counted(made.work.clip_count), 20)
    scopes = {scope: [slower * least_seconds(cost, rates)] for scope, cost in costs.items()}
    scopes |= {"other": [0.01 * (20 - window + 1)]}
    whole = sum(seconds[0] for seconds in scopes.values())
    result = ProfileResult(frames=[20], processes=[process(whole, scope_seconds=scopes)])
    return made.model_copy(update={"result": result})


def test_the_roofline_learns_efficiency_and_predicts_other_windows():
    records = [
        measured(talk, t, "a processor") for talk in (NoComm(), InterFrame()) for t in (5, 10)
    ]
    efficiency = learn(records, counted)
    assert efficiency is not None
    assert efficiency.share["fp32"] == pytest.approx(dict.fromkeys(ROOFED, 0.5))
    assert efficiency.host.each_window == pytest.approx(0.01)
    assert efficiency.error == pytest.approx([0.0] * 4, abs=1e-9)
    assert learn([record([process(1.0, scope_seconds=None)])], counted) is None
    assert learn(records, lambda work: None) is None, "nothing is counted"


def test_the_roofline_of_a_measured_network(tmp_path):
    store = Store(tmp_path, tmp_path / "runs")
    done = measured(InterFrame(), 5, "a processor")
    store.save(done)
    assert roofline_frame(store).empty, "nothing is counted yet"
    count_all([done.work.clip_count], store)
    roofs = roofline_frame(store).set_index("scope")
    clip = model_costs(ModelConfig(communication=InterFrame()), 5, 360, 640)
    assert roofs["macs"]["encoder"] == 16 * clip["encoder"].macs, "20 frames are 16 windows of 5"
    assert roofs["macs"]["backbone"] == 4 * clip["backbone"].macs, "each frame once"
    assert roofs["share"].tolist() == pytest.approx([0.5] * 4)
    assert (roofs["macs_per_second"] <= 0.5 * 1e12 * (1 + 1e-9)).all()
    ax = plots.roofline(roofline_frame(store))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["ifc M=8", *ROOFED]


def test_a_variant_looks_the_same_in_every_figure():
    four = pd.DataFrame(
        [
            {"communication": v.split()[0], "variant": v, "attention": "materialised", "T": t,
             "fps": 9.0, "fps_std": 1.0, "windows": 21 - t, "status": "ok", "device": "x"}
            for v in ("decomposed", "full", "ifc M=8", "none")
            for t in (5, 10)
        ]
    )  # fmt: skip
    handles = plots.profile_over_windows(four).get_legend().legend_handles
    colours = {handle.get_label(): handle.get_color() for handle in handles}
    in_the_table = dict(zip(("none", "full", "decomposed", "ifc M=8"), plots.COLOURS, strict=False))
    assert colours == in_the_table, "No Comm, Full, Decomp, IFC, as Table 3(a) has them"


def test_a_forecast_never_passes_for_a_measurement():
    from ifc_bench.hardware.catalogue import gpu_model

    works = [Footprint(model=ModelConfig(), frames=5, height=360, width=640)]
    cards = [gpu_model("rtx-2080ti"), gpu_model("v100-32gb")]
    learned = [measured(InterFrame(), 5, "a processor")]
    grid = forecast_grid(works, cards, learned, counted)
    text = write(grid, "github")
    assert "predicted, not measured" in text
    assert "rtx-2080ti (predicted)" in text
    assert "efficiency learned from a processor; its error is not known" in text
    slow, fast = (value["predicted_fps"] for value in grid.values)
    assert 1 < slow < fast < 1e4, "the V100 has the higher peak rates"
    with pytest.raises(UserError, match="run profile first"):
        forecast_grid(works, cards, [], counted)
    exact, quick = (
        [
            value["predicted_fps"]
            for value in forecast_grid(
                works, cards, [measured(InterFrame(), 5, "a CPU", slower=times)], counted
            ).values
        ]
        for times in (1, 0.5)
    )
    assert quick == pytest.approx(exact), "no GPU beats its peak"
    both = [measured(InterFrame(), 5, "x"), measured(NoComm(), 5, V100)]
    told = forecast_grid(works, cards, both, counted).head[1]
    assert told.startswith(f"efficiency learned from {V100};"), "GPUs alone, where there are any"
