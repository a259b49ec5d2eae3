"""Lines above a table: data, preset, n and device of its numbers, and missing work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ifc_bench.config import FolderData, Testing, Training, WeightsFile
from ifc_bench.data.layouts import HELD_OUT
from ifc_bench.recipe import Preset, Row, Table
from ifc_bench.report.arithmetic import apart_lines, ran_in
from ifc_bench.report.cells import Cell, counted
from ifc_bench.report.layout import Caution, describe, span
from ifc_bench.report.origins import origin_lines
from ifc_bench.report.three_numbers import ENDS
from ifc_bench.report.window_counts import reading_line


def head_lines(
    table: Table, preset: Preset, cells: list[Cell], speeds: list[tuple[str, str]]
) -> list[str]:
    """The data, preset, n and devices of the numbers, and missing work."""
    splits = sorted({split for cell in cells for split in cell.splits})
    shown = ", ".join("+".join(part[:8] for part in s.split("+")) for s in splits) or "none"
    schedules = _alternatives(_schedule(one, preset.weights_name) for one in table.recipes)
    changes = f"; with {', '.join(preset.changes)}" if preset.changes else ""
    lines = [
        f"data: {data_of(table)}, split {shown}",
        f"preset: {preset.name} ({schedules}{changes}); evaluated {_protocols(table.rows)}",
        seeds_line(table, cells),
        *_speed_lines(cells, speeds),
    ]
    lines += seen_line(table) + incomplete_line(cells) + apart_lines(table.rows, cells)
    if len(splits) > 1:
        lines.append(Caution("warning: more than one split is mixed here; run the table again"))
    return lines + origin_lines(origin for cell in cells for origin in cell.origins)


def data_of(table: Table) -> str:
    """The data that rows are trained and tested on, in a few words."""
    return _alternatives(describe(training.data) for training in table.recipes)


def _alternatives(texts: Iterable[str]) -> str:
    """Each text once, joined by "or"; the rows of a table may differ in anything."""
    return " or ".join(dict.fromkeys(texts))


def _schedule(training: Training, weights_name: str) -> str:
    schedule = training.optimisation
    text = f"{schedule.iterations} iterations of {schedule.clips} clips of T={schedule.clip_frames}"
    if schedule.sizes:
        text += f" at {_sizes(schedule.sizes)}"
    if schedule.precision != "float32":
        text += f" in {schedule.precision}"
    return text + _origin(training, weights_name)


def _sizes(sizes: Sequence[int]) -> str:
    """Short edges in pixels."""
    if len(sizes) > 2:
        return f"{min(sizes)} to {max(sizes)} pixels"
    return f"{' or '.join(map(str, sizes))} pixels"


def _origin(training: Training, weights_name: str) -> str:
    """The first weights of a training run, in words; of its training on images, if it had one."""
    start = training.start
    if start is None or start.kind == "imagenet":
        return ""
    if isinstance(start, WeightsFile):
        kind = "a released checkpoint" if start.content == "released" else "ImageNet weights"
        name = f"{weights_name}, " if weights_name else ""
        return f", from {kind} ({name}SHA-256 {start.sha256[:8]})"
    return ", after training on images" + _origin(
        start.training if start.kind == "kept" else start, weights_name
    )


def seen_line(table: Table) -> list[str]:
    """A warning where a released checkpoint may have seen the videos that it is tested on."""
    for training in table.recipes:
        start, data = training.start, training.data
        released = isinstance(start, WeightsFile) and start.content == "released"
        if released and isinstance(data, FolderData) and data.name.endswith(HELD_OUT):
            return [
                Caution(
                    "warning: released checkpoints were trained on all training videos of their "
                    f"set, and the tested videos are some of {data.name.removesuffix(HELD_OUT)}'s: "
                    "AP may be far too high"
                )
            ]
    return []


def _protocols(rows: Sequence[Row]) -> str:
    tests = [test for row in rows for test in row.tests]
    strides = "S" if any(test.stride > 1 for test in tests) else "1"
    return _alternatives(
        _protocol(test, strides) + ran_in(test.precision, test.compiled) for test in tests
    )


def _protocol(test: Testing, strides: str) -> str:
    size = f" at {test.size} pixels" if test.size is not None else ""
    if test.protocol == "image":
        return f"as COCO evaluates images{size}"
    short = " (a shorter video is one window)" if test.short_videos == "shrink" else ""
    return f"in windows of T at stride {strides}{short}{size}"


def _speed_lines(cells: list[Cell], speeds: list[tuple[str, str]]) -> list[str]:
    """Devices and spread of FPS, and the windows of the videos."""
    lines = []
    for index, setup in enumerate(speeds):
        device, attention = setup
        mark = f" [{index + 1}]" if len(speeds) > 1 else ""
        measured = [speed for cell in cells for speed in cell.on(setup)]
        spread = process_spread([speed.n for speed in measured])
        ends = _alternatives(
            ENDS[speed.end] + ran_in(speed.precision, speed.compiled) for speed in measured
        )
        lines.append(f"FPS{mark}: {ends}, {device}, attention {attention}; {spread}")
    return lines + reading_line(speed.reading for cell in cells for speed in cell.speeds)


def incomplete_line(cells: Sequence[Cell], whose: str = "") -> list[str]:
    """Evaluations without a value, by reason; empty where all have one."""
    lost: dict[str, int] = {}
    for cell in cells:
        for reason, count in cell.lost.items():
            lost[reason] = lost.get(reason, 0) + count
    if not lost:
        return []
    reasons = ", ".join(counted(lost))
    wanted = sum(len(cell.by_seed("AP")) + sum(cell.lost.values()) for cell in cells)
    return [Caution(f"incomplete: of {wanted} evaluations{whose}, {reasons}")]


def most_seeds(cells: Iterable[Cell]) -> int:
    """The largest n of any accuracy."""
    return max((len(v) for cell in cells for v in cell.values.values()), default=0)


def seeds_line(table: Table, cells: Sequence[Cell]) -> str:
    """n and the spread: "n = 5 training runs; ± is the sample std over seeds"."""
    most = most_seeds(cells)
    std = table.statistic == "std"
    if most == 0:
        return "n = 0 training runs"
    if most == 1:
        return f"n = 1 training run, so no {'std' if std else '±'}"
    spread = "numbers are sample stds" if std else "± is the sample std"
    fewer = any(0 < len(values) < most for cell in cells for values in cell.values.values())
    note = "; cells with fewer print their n" if fewer else ""
    return f"n = {most} training runs; {spread} over seeds{note}"


def process_spread(processes: Sequence[int]) -> str:
    """The spread of FPS in words, from the number of processes behind each."""
    if max(processes) == 1:
        return "one process each, so no ±"
    return f"± is the sample std between processes (n = {span(processes)})"
