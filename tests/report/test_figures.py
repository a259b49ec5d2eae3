"""Figures show no more than their numbers; each is drawn from frames or records made here."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Rectangle

from ablations import PRESETS, TABLES
from ifc_bench.config import ROOFED, InterFrame, ModelConfig, NoComm
from ifc_bench.records import TrainingResult
from ifc_bench.report import plots
from ifc_bench.report.figures import machine_drawings, table_drawings
from ifc_bench.report.publish import publish
from ifc_bench.report.results import Results, read_all
from ifc_bench.report.significance import Comparison
from ifc_bench.report.statistics import Summary, power, welch
from ifc_bench.store import Store
from tests.report.test_profiles import process, record
from tests.report.test_tables import NAMES, accuracy, save

PRESET = PRESETS["full"].model_copy(update={"seeds": 3, "windows": (5, 10)})
TABLE = TABLES["table3a"](PRESET)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def fill(store, table, shift: float, value: float = 0.3, situations: bool = False) -> None:
    """Save three seeds of every row and window; a row is `shift` above the one before."""
    for index, row in enumerate(table.rows):
        for window in row.windows:
            for work in table.evaluations(PRESET, row, window):
                ap = value + index * shift + (0.01 * work.training.seed if shift else 0)
                result = accuracy(ap)
                if situations:
                    scores = {"blur": dict.fromkeys(NAMES, ap)}
                    result = result.model_copy(update={"by_situation": scores})
                save(store, work, result)


def names(drawings) -> set[str]:
    return {drawing.name for drawing in drawings}


def compared(difference: float, std: float = 2.0, n: int = 5, window: int = 5) -> Comparison:
    a, b = Summary(n, 38.0, std), Summary(n, 38.0 + difference, std)
    free = welch(a, b)
    return Comparison(
        f"row {difference}", window, a, b, free, matched=None, improvement=None, corrected=free.p
    )


def colours(ax) -> dict[float, np.ndarray]:
    """Return the RGB colour of each difference in a map."""
    found = {}
    for image in ax.images:
        values = np.ma.masked_invalid(image.get_array())
        painted = image.to_rgba(values)
        for place in zip(*np.nonzero(~np.ma.getmaskarray(values)), strict=True):
            found[round(float(values[place]), 6)] = painted[place][:3]
    return found


def test_a_small_difference_is_pale_and_what_exceeds_noise_stands_out():
    ax = plots.difference_map([compared(0.3), compared(-0.4), compared(9.0)], "No Comm")
    painted = colours(ax)
    assert painted[0.3].min() > 0.9
    assert painted[-0.4].min() > 0.9
    assert painted[9.0].min() < 0.3
    frames = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_linewidth() >= 2]
    assert [frame.get_xy() for frame in frames] == [(-0.5, 1.5)]
    alone = plots.difference_map([compared(0.3)], "No Comm", ax=plt.figure().subplots())
    assert colours(alone)[0.3].min() > 0.9, "with no large difference beside it as well"


def test_noise_is_faded_however_large_it_is():
    loud = compared(15.0, std=12.0)
    assert not loud.exceeds
    painted = colours(plots.difference_map([loud], "No Comm"))
    assert painted[15.0].min() > 0.75


def test_the_colours_reach_what_80_percent_power_finds():
    limit = plots.colour_limit([[compared(0.3)]])
    assert power(limit, 2.0, 5) == pytest.approx(0.8, abs=1e-6)
    assert plots.colour_limit([[compared(0.3)], [compared(-20.0)]]) == pytest.approx(20.0)
    single = Summary(1, 38.0, None)
    lone = Comparison("a", 5, single, Summary(1, 39.0, None), welch(single, single), None, None, 1)
    assert plots.colour_limit([[lone]]) > 0, "one seed has no std"


def test_all_difference_maps_of_a_page_share_a_scale(store, tmp_path, monkeypatch):
    wide, narrow = TABLE, TABLES["table3d"](PRESET)
    fill(store, narrow, shift=0.001)
    fill(store, wide, shift=0.1, value=0.1, situations=True)
    limits = []

    def spied(comparisons, baseline, limit, ax):
        limits.append(limit)
        return ax

    monkeypatch.setattr(plots, "difference_map", spied)
    monkeypatch.setattr("ifc_bench.report.publish.write_png", lambda *_, **__: None)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)  # slow
    publish(read_all([wide, narrow], PRESET, store), PRESET, store, tmp_path / "out")
    assert len(limits) == 3
    assert limits == [pytest.approx(30.0)] * 3


SUMMARY = pd.DataFrame(
    [
        {"row": row, "T": t, "metric": "AP", "mean": ap, "low": ap - 0.04, "high": ap + 0.02}
        for row, ap in (("No Comm", 0.380), ("IFC", 0.384))
        for t in (5, 10, 20)
    ]
)  # fmt: skip
SPEEDS = pd.DataFrame(
    [
        {"row": row, "T": t, "device": "x", "fps": 1000 / (windows + cost), "windows": windows}
        for row, cost in (("No Comm", 0), ("IFC", 3))
        for t, windows in ((5, 20), (10, 15), (20, 5))
    ]
)


def bars(panel) -> list[ErrorbarContainer]:
    return [one for one in panel.containers if isinstance(one, ErrorbarContainer)]


def test_accuracy_against_speed_has_a_panel_for_each_window_and_intervals():
    ax = plots.accuracy_against_speed(SUMMARY, SPEEDS)
    panels = ax.child_axes
    titles = [panel.get_title() for panel in panels]
    assert titles == ["T = 5\n20 windows", "T = 10\n15 windows", "T = 20\n5 windows"]
    assert "better: up and right" in ax.get_title()
    for panel in panels:
        low, high = panel.get_ylim()
        assert high - low >= 6, "the widest interval"
        assert len(bars(panel)) == 2
        assert all(one.has_yerr and len(one.lines[0].get_xdata()) == 1 for one in bars(panel))
    assert len({panel.get_xlim() for panel in panels}) == 1, "one scale"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["No Comm", "IFC"]


def test_rows_with_windows_of_their_own_share_a_panel_and_are_named_with_them():
    rows = ["S=3", "S=10"]
    summary = SUMMARY[SUMMARY["T"] != 10].iloc[[0, 3]].assign(row=rows)
    speeds = SPEEDS[SPEEDS["T"] != 10].iloc[[0, 3]].assign(row=rows, windows=[8, 1])
    ax = plots.accuracy_against_speed(summary, speeds)
    (panel,) = ax.child_axes
    assert len(bars(panel)) == 2
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["S=3: T = 5, 8 windows", "S=10: T = 20, 1 window"]


def test_without_intervals_the_axis_begins_at_zero():
    ax = plots.accuracy_against_speed(SUMMARY.assign(low=np.nan, high=np.nan), SPEEDS)
    assert {panel.get_ylim()[0] for panel in ax.child_axes} == {0.0}


def trained(store, points: int, loss: int = 10) -> None:
    for row in TABLE.rows:
        for work in TABLE.trainings(PRESET, row):
            curve = [(100 * (i + 1), 0.1 * (i + 1 + work.seed)) for i in range(points)]
            result = TrainingResult(
                loss=[float(loss - i) for i in range(loss)], loss_parts={}, accuracy_curve=curve,
                parameters=1, wall_seconds=1,
            )  # fmt: skip
            save(store, work, result)


def test_no_training_curve_of_fewer_than_four_points(store):
    fill(store, TABLE, shift=0.01)
    trained(store, points=3, loss=3)
    assert not {"ap", "loss"} & names(table_drawings(Results.read(TABLE, PRESET, store)))


def test_the_curve_of_ap_has_its_window_and_stride(store):
    fill(store, TABLE, shift=0.01)
    trained(store, points=4)
    found = {
        drawing.name: drawing for drawing in table_drawings(Results.read(TABLE, PRESET, store))
    }
    ax = plt.figure().subplots()
    found["ap"].draw(ax=ax)
    assert found["ap"].caption == "AP while training (T = 5, S = 3)"
    assert ax.get_title().startswith("AP while training (T = 5, S = 3)")
    assert "loss" in found


def test_figures_of_equal_values_are_left_out(store):
    fill(store, TABLE, shift=0, value=0.0, situations=True)
    assert names(table_drawings(Results.read(TABLE, PRESET, store))) == set()
    fill(store, TABLE, shift=0.01, situations=True)
    wanted = {"windows", "differences", "situation-differences", "situations"}
    assert (
        names(table_drawings(Results.read(TABLE, PRESET, Store(store.results, store.runs))))
        == wanted
    )


def profiled(store, kernels=("materialised", "efficient"), lost=()) -> None:
    """Save two variants at three windows with each kernel; `lost` (T, kernel) run out of memory."""
    scopes = {scope: [0.1] for scope in (*ROOFED, "projection", "tracker", "output")}
    for talk in (NoComm(), InterFrame()):
        for index, kernel in enumerate(kernels):
            for window in (5, 10, 20):
                model = ModelConfig(communication=talk, attention=kernel)
                seconds = 1.0 + index + window / 100 + len(talk.kind) / 1000
                done = [process(seconds, scope_seconds=scopes)] * 2
                gone = (window, kernel) in lost
                made = record(
                    [] if gone else done, device="x", model=model, window=window,
                    status="out_of_memory" if gone else "ok",
                )  # fmt: skip
                store.save(made)


def drawn(store, name: str):
    (drawing,) = [one for one in machine_drawings(store) if one.name == name]
    ax = plt.figure().subplots()
    drawing.draw(ax=ax)
    return ax, drawing


@pytest.mark.parametrize("what", ["fps", "window"])
def test_implementations_of_attention_have_a_series_each(store, what):
    profiled(store)
    ax, _ = drawn(store, f"{what}-360x640-fp32")
    series = [one.lines[0] for one in bars(ax)]
    assert len(series) == 4
    for line in series:
        assert np.all(np.diff(line.get_xdata()) > 0), "each T once: no zigzag"
    looks = {(line.get_color(), line.get_fillstyle()) for line in series}
    assert len(looks) == 4
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["none", "ifc M=8", "materialised", "efficient"]


def test_fps_of_different_windows_are_not_joined_and_have_their_windows(store):
    profiled(store, kernels=("materialised",))
    ax, drawing = drawn(store, "fps-360x640-fp32")
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["5\n16 windows", "10\n11 windows", "20\n1 window"]
    assert {one.lines[0].get_linestyle() for one in bars(ax)} == {"None"}
    assert "a video is read in 16, 11, 1 windows at T = 5, 10, 20" in drawing.caption
    _, window = drawn(store, "window-360x640-fp32")
    assert "without the backbone" in window.caption


def test_a_window_without_the_backbone_is_timed_by_its_scopes():
    scopes = {f"{scope}_ms": [1.0] for scope in ("projection", "encoder", "decoder", "mask_head")}
    rows = pd.DataFrame({**scopes, "backbone_ms": [99.0], "frames": [20], "windows": [5]})
    assert plots.clip_ms(rows).tolist() == [16.0], "4 ms a frame of 20, in 5 windows"
    assert plots.clip_ms(rows.assign(encoder_ms=np.nan)).isna().all()


def test_profiles_out_of_memory_leave_the_rest_in_the_figure(store):
    profiled(store, lost={(20, "materialised")})
    ax, _ = drawn(store, "fps-360x640-fp32")
    assert sorted(len(one.lines[0].get_xdata()) for one in bars(ax)) == [2, 2, 3, 3]


def test_profiles_that_are_all_out_of_memory_have_no_figure(store):
    profiled(store, kernels=("materialised",))
    for made in list(store.records("profile")):
        work = made.work.model_copy(update={"precision": "bf16"})
        lost = made.result.model_copy(update={"processes": [], "asked_bytes": 1 << 40})
        changes = {"work": work, "id": work.id, "status": "out_of_memory", "result": lost}
        store.save(made.model_copy(update=changes))
    found = names(machine_drawings(store))
    assert found == {"fps-360x640-fp32", "window-360x640-fp32"}, "all peaks are equal here"


def test_profiles_at_another_stride_have_figures_of_their_own(store):
    profiled(store, kernels=("materialised",))
    for made in list(store.records("profile")):
        work = made.work.model_copy(update={"stride": 3})
        store.save(made.model_copy(update={"work": work, "id": work.id}))
    found = names(machine_drawings(store))
    assert {"fps-360x640-fp32-S-1", "fps-360x640-fp32-S-3"} <= found


def test_the_roofline_has_a_marker_for_each_implementation():
    rows = pd.DataFrame(
        [
            {"device": "x", "communication": "none", "variant": "none", "attention": kernel, "T": 5,
             "scope": scope, "intensity": 10.0, "macs_per_second": 1e9,
             "peak_macs_per_second": 1e11,
             "peak_bytes_per_second": 1e10}
            for kernel in ("materialised", "efficient")
            for scope in ROOFED
        ]
    )  # fmt: skip
    ax = plots.roofline(rows)
    markers = [line for line in ax.lines if line.get_marker() != "None"]
    assert len({(line.get_marker(), line.get_fillstyle()) for line in markers}) == 2 * len(ROOFED)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told[-2:] == ["materialised", "efficient"]


def test_names_of_situations_are_drawn_as_they_are_written():
    """`$` begins a formula for matplotlib, and this one is none."""
    frame = pd.DataFrame({"row": ["a", "b"], "situation": ["$x^$", "$x^$"], "AP": [0.1, 0.2]})
    ax = plots.grouped_bars(frame, "situation", "AP", "AP (%)")
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$x^$"]
