"""Every table with FPS has the number of windows, because FPS depends on it."""

import json

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.records import Device, ProfileResult
from ifc_bench.report import frames, render
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.results import Results, read_results
from ifc_bench.report.window_counts import Reading, reading_line
from ifc_bench.store import Store
from tests.report.test_profiles import process, record
from tests.report.test_tables import save

CARD = Device(kind="cuda", name="a GPU")
PRESET = PRESETS["full"].model_copy(update={"seeds": 1, "windows": (5, 20)})


def results(name, store):
    return read_results(TABLES[name](PRESET), PRESET, store)


def measured(store: Store, name: str, *lengths: int) -> None:
    """Save one profile for each cell of table `name`, of videos of these lengths."""
    table = TABLES[name](PRESET)
    for row in table.rows:
        for window in row.windows:
            work = table.profile(PRESET, row, window, CARD)
            assert work is not None
            result = ProfileResult(frames=list(lengths), processes=[process(1.0)] * 3)
            save(store, work, result, device=CARD)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, tmp_path / "runs")


def test_windows_of_a_video_follow_from_length_window_and_stride():
    assert Reading((24,), 5, 1).counts == (20,)
    assert Reading((24,), 20, 1).counts == (5,)
    assert Reading((24, 30), 10, 5).counts == (4, 5)
    assert Reading((24, 30), None, 1).counts == (1, 1)
    assert Reading((24, 30), 10, 5).mean == 4.5
    assert Reading((3,), 5, 1).counts == (1,), "a short video is one window"


def test_an_accuracy_table_has_windows_beside_fps_and_in_its_head(store):
    measured(store, "table3a", 24, 24)
    text = render(results("table3a", store))
    assert "T=5 FPS (20 windows)" in text
    assert "T=20 FPS (5 windows)" in text
    assert (
        "- FPS do not compare over T: a video of 24 frames is read in 20 and 5 windows at "
        "T = 5 and 20"
    ) in text.splitlines()
    assert "T=20 FPS (5 windows)" in render(results("table3a", store), "latex")


def test_values_have_the_windows_of_each_fps_and_of_nothing_else(store):
    measured(store, "table3a", 24, 24)
    values = json.loads(render(results("table3a", store), "json"))["values"]
    assert {(v["T"], v["windows"]) for v in values if v["metric"] == "FPS"} == {(5, 20), (20, 5)}
    assert {v["windows"] for v in values if v["metric"] != "FPS"} <= {None}
    table = render(results("table3a", store), "csv").splitlines()
    assert "windows" in table[0].split(",")
    speeds = frames.speeds_frame(Results.read(TABLES["table3a"](PRESET), PRESET, store))
    assert set(speeds["windows"]) == {20, 5}


def test_rows_with_windows_of_their_own_get_a_column(store):
    measured(store, "table2d", 24)
    text = render(results("table2d", store))
    [first] = [line for line in text.splitlines() if line.startswith("| S=3 ")]
    assert [cell.strip() for cell in first.split("|")][-2] == "8"
    assert "8, 4, 3 and 2 windows at (T, S) = (5, 3), (10, 5), (15, 8) and (20, 10)" in text


def test_a_table_of_methods_has_windows_too(store):
    measured(store, "table2a", 24)
    text = render(results("table2a", store))
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "| ours" in line}
    cells = {name: line.split("|")[-2].strip() for name, line in rows.items()}
    assert cells == {"IFC near-online": "20", "IFC offline": "1"}
    assert "20 and 1 windows at T = 5 and video" in text


def test_videos_of_several_lengths_are_a_range(store):
    measured(store, "table3a", 24, 36)
    text = render(results("table3a", store))
    assert "T=5 FPS (20 to 32 windows)" in text
    assert "videos of 24 to 36 frames are read in 20 to 32 and 5 to 17 windows" in text
    assert len(reading_line([Reading((n,), 5, 1) for n in range(10, 20)])) == 1, "still one line"


def test_one_window_length_has_no_warning():
    assert reading_line([Reading((24,), 20, 1)]) == [
        "windows: a video of 24 frames is read in 5 windows at T = 20"
    ]
    assert reading_line([]) == []


def test_a_table_of_profiles_has_a_column_of_windows():
    long = [record([process(1.0)] * 3, window=window) for window in (5, 10, 20)]
    text = render_profiles(long)
    head, *rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    columns = [name.strip() for name in head]
    assert columns[columns.index("to results.json") + 1] == "windows"
    assert [row[columns.index("windows")].strip() for row in rows] == ["16", "11", "1"]
    assert "FPS do not compare over T: a video of 20 frames is read in 16, 11 and 1 windows" in text
    values = json.loads(render_profiles(long, "json"))["values"]
    assert [v["windows"] for v in values] == [16, 11, 1]
    assert values[0]["window_ms"] == pytest.approx(1000 / 16)
