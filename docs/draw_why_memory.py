"""Writes the tables of docs/why_memory.md, between their marks, and draws docs/why_memory.png.

From the records of results/baseline and results/why_memory, and from what
docs/measure_why_memory.py measured; it trains nothing and needs no torch.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy import stats

from ablations import PRESETS, TABLES
from ifc_bench.records import EvaluationResult, TrainingResult
from ifc_bench.report.detections import bootstrap_over_videos, detection_table
from ifc_bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "why_memory.md"
PICTURE = ROOT / "docs" / "why_memory.png"
OURS = ROOT / "results" / "why_memory"
FULL = PRESETS["full"]
SPANS = {340: slice(280, 340), 1000: slice(900, 1000)}
REACHED, SMOOTHED = 1.5, 40
ORDER = (
    "No Comm", "IFC", "zero start", "without gather", "hidden memory", "small memory",
    "Full THW", "Decomp T-HW", "Decomp, zero start", "M=1", "M=2", "M=4", "M=16",
)  # fmt: skip
KNOWN = ("table3a", "table3c", "why_memory")
Curves = dict[str, dict[int, np.ndarray]]
Rows = list[list[str]]


def main() -> None:
    """Write the tables and draw the figure."""
    found = json.loads((OURS / "diagnosis.json").read_text(encoding="utf-8"))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables(found)), encoding="utf-8")
    draw(found)


def filled(text: str, content: dict[str, str]) -> str:
    """A page with the content of each mark replaced: `<!-- NAME -->` up to `<!-- end -->`."""
    for name, table in content.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{PAGE}: has {count} marks of {name}, expected 1")
    return text


def tables(found: dict[str, Any]) -> dict[str, str]:
    """The Markdown of every table of the page, by the name of its mark."""
    networks, known = found["networks"], curves(found["unfinished"])
    return {
        "delay": delay_table(known),
        "loss": loss_table(known),
        "use": use_table(networks),
        "accuracy": accuracy_table(),
        "attention": attention_table(networks),
        "probe": probe_table(networks),
    }


def curves(unfinished: Sequence[dict[str, Any]]) -> Curves:
    """The training loss of every iteration, by arm and seed.

    Of finished trainings from their records, of the others as far as they are.
    """
    found: Curves = defaultdict(dict)
    recipes = {row.label: row.training for name in KNOWN for row in TABLES[name](FULL).rows}
    for folder in (ROOT / "results" / "baseline", OURS):
        store = Store(folder, ROOT / "runs")
        for arm in ORDER:
            for seed in range(FULL.seeds):
                recipe = recipes.get(arm)
                work = recipe and recipe.model_copy(update={"seed": seed})
                record = work and store.load(work)
                if record and isinstance(record.result, TrainingResult):
                    found[arm][seed] = np.array(record.result.loss, float)
    for one in unfinished:
        found[one["arm"]].setdefault(one["seed"], np.array(one["loss"]))
    return found


def delay_table(known: Curves) -> str:
    """When each training's loss falls below `REACHED`; a run that was stopped before has a ">"."""
    rows: Rows = []
    for arm in ORDER:
        mine = {s: loss for s, loss in known[arm].items() if len(loss) >= min(SPANS)}
        reached = {seed: below(loss) for seed, loss in sorted(mine.items())}
        if not reached:
            continue
        seen = [str(at) if at else f">{len(mine[seed])}" for seed, at in reached.items()]
        row = [arm, " ".join(seen)]
        for other in ("No Comm", "IFC"):
            late = [
                (at or len(mine[seed])) - (below(known[other][seed]) or 0)
                for seed, at in reached.items()
            ]
            told_of = paired(late, 0) if all(reached.values()) else f"over {np.mean(late):+.0f}"
            row.append("" if arm == other else told_of)
        rows.append(row)
    head = ["row", f"iteration below {REACHED}, seeds 0, 1, ...", "− No Comm", "− IFC"]
    return markdown(head, rows)


def below(loss: np.ndarray) -> int | None:
    """The first iteration at which the mean loss of the last `SMOOTHED` is below `REACHED`."""
    means = np.convolve(loss, np.ones(SMOOTHED) / SMOOTHED, "valid")
    found = np.flatnonzero(means < REACHED)
    return int(found[0]) + SMOOTHED if len(found) else None


def loss_table(known: Curves) -> str:
    """Loss by arm, and its difference to No Comm and to IFC of the same seeds."""

    def means(arm: str, span: slice) -> dict[int, float]:
        whole = {seed: loss for seed, loss in known[arm].items() if len(loss) >= span.stop}
        return {seed: float(loss[span].mean()) for seed, loss in whole.items()}

    rows: Rows = []
    for arm in [arm for arm in ORDER if means(arm, SPANS[340])]:
        row = [arm]
        for span in SPANS.values():
            mine = means(arm, span)
            row += [str(len(mine)), told(mine.values())]
            for other in ("No Comm", "IFC"):
                theirs = means(other, span)
                both = sorted(mine.keys() & theirs.keys())
                row.append("" if arm == other else paired([mine[s] - theirs[s] for s in both]))
        rows.append(row)
    head = ["arm"]
    for end in SPANS:
        head += [f"n at {end:,}", "loss", "− No Comm", "− IFC"]
    return markdown(head, rows)


def use_table(networks: Sequence[dict[str, Any]]) -> str:
    """What the loss on validation clips rises by when communication or memory is taken away."""
    rows: Rows = []
    for (arm, iteration), ones in grouped(networks).items():
        by_video = [one["loss_by_video"] for one in ones]
        row = [arm, f"{iteration:,}", str(len(ones))]
        row.append(f"{np.mean([list(each['whole'].values()) for each in by_video]):.3f}")
        for how in ("isolated", "swapped"):
            rise = np.mean(
                [
                    [each[how][video] - each["whole"][video] for video in each["whole"]]
                    for each in by_video
                ],
                axis=0,
            )
            row.append(over_videos(rise))
        rows.append(row)
    return markdown(
        ["arm", "iteration", "n", "loss, whole", "isolated − whole", "swapped − whole"], rows
    )


def accuracy_table() -> str:
    """AP at T = 5 of finished trainings, whole and isolated, and the difference over videos."""
    store = Store(OURS, ROOT / "runs")
    known = {row.label: row for row in TABLES["why_memory"](FULL).rows}
    rows: Rows = []
    for label, row in known.items():
        alone = known.get(f"{label}, isolated")
        if alone is None:
            continue
        pairs = []
        for first, second in zip(
            *(TABLES["why_memory"](FULL).evaluations(FULL, one, 5) for one in (row, alone)),
            strict=True,
        ):
            results = [record.result for work in (first, second) if (record := store.load(work))]
            if len(results) == 2:
                pairs.append(results)
        if pairs:
            rows.append([label, str(len(pairs)), *accuracy_cells(pairs)])
    return markdown(["arm", "n", "AP, whole", "AP, isolated", "use [95% over videos]"], rows)


def accuracy_cells(pairs: Sequence[Sequence[Any]]) -> list[str]:
    """AP whole and isolated, and their difference with the same draws of videos."""
    values, draws = [], []
    for pair in pairs:
        assert all(isinstance(result, EvaluationResult) for result in pair)
        values.append([100 * (result.metrics["AP"] or 0.0) for result in pair])
        found = [detection_table(result) for result in pair]
        whole, alone = (bootstrap_over_videos(table) for table in found if table is not None)
        draws.append(100 * (whole - alone))
    mean = np.mean(values, axis=0)
    low, high = np.percentile(np.mean(draws, axis=0), [2.5, 97.5])
    return [
        *(f"{value:.1f}" for value in mean),
        f"{mean[0] - mean[1]:+.1f} [{low:+.1f}, {high:+.1f}]",
    ]


def attention_table(networks: Sequence[dict[str, Any]]) -> str:
    """Shares of attention that go to memory, of each layer, against the share of keys."""
    rows: Rows = []
    for (arm, iteration), ones in grouped([one for one in networks if "shares" in one]).items():
        shares = [one["shares"] for one in ones]
        row = [arm, f"{iteration:,}", str(len(ones)), f"{100 * shares[0]['keys']:.1f}"]
        for place in ("encoder", "decoder"):
            layers = np.mean([share[place] for share in shares], axis=0)
            row.append(" ".join(f"{100 * value:.1f}" for value in layers) or "hidden")
        rows.append(row)
    return markdown(
        ["arm", "iteration", "n", "keys %", "encoder layers 1 2 3, %", "decoder layers 1 2 3, %"],
        rows,
    )


def probe_table(networks: Sequence[dict[str, Any]]) -> str:
    """What a linear probe reads from frame tokens and from memory tokens."""
    rows: Rows = []
    probed = [("probes", one) for one in networks if "probes" in one]
    probed += [("probes, untrained", one) for one in networks if "probes, untrained" in one][:1]
    groups: dict[tuple[str, int, str], list[dict[str, float]]] = defaultdict(list)
    for field, one in probed:
        iteration = one["at"] if field == "probes" else 0
        for kind, values in one[field].items():
            groups[one["arm"], iteration, kind].append(values)
    for (arm, iteration, kind), values in sorted(groups.items(), key=lambda item: place(item[0])):
        row = [arm, f"{iteration:,}" if iteration else "untrained", kind, str(len(values))]
        row.append(str(values[0]["dimensions"]))
        for what in ("class", "place", "class, lost frames", "place, lost frames"):
            row.append(f"{np.mean([value[what] for value in values]):.2f}")
        rows.append(row)
    head = ["arm", "iteration", "features", "n", "dimensions", "class, AUC", "place, R²"]
    return markdown([*head, "class in lost frames", "place in lost frames"], rows)


def grouped(
    networks: Sequence[dict[str, Any]],
) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Networks by arm and the iteration that they stand for, in the order of the page."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for one in networks:
        groups[one["arm"], one["at"]].append(one)
    return dict(sorted(groups.items(), key=lambda item: place(item[0])))


def place(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where an arm and iteration stand in a table."""
    return (ORDER.index(key[0]), *key[1:])


def told(values: Iterable[float]) -> str:
    """Mean ± sample std."""
    numbers = list(values)
    if len(numbers) < 2:
        return f"{numbers[0]:.3f}" if numbers else ""
    return f"{np.mean(numbers):.3f}±{np.std(numbers, ddof=1):.3f}"


def paired(differences: Sequence[float], places: int = 3) -> str:
    """The mean difference over seeds with Student's 95% interval, from two seeds."""
    if not differences:
        return ""
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return f"{mean:+.{places}f}"
    error = float(np.std(differences, ddof=1)) / len(differences) ** 0.5
    reach = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    return f"{mean:+.{places}f} [{mean - reach:+.{places}f}, {mean + reach:+.{places}f}]"


def over_videos(values: np.ndarray) -> str:
    """The mean over videos with a 95% bootstrap interval, the same draws for every row."""
    if not values.any():
        return "0"
    draws = np.random.default_rng(7).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def markdown(head: Sequence[str], rows: Rows) -> str:
    """A table in Markdown, with an end of line."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(found: dict[str, Any]) -> None:
    """Attention to memory over training: encoder and decoder, one line for each training."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.0), sharey=True)
    arms = [arm for arm in ORDER if any(one["arm"] == arm for one in found["along"])]
    for axis, part in zip(axes, ("encoder", "decoder"), strict=True):
        for arm in arms:
            lines: dict[int, list[tuple[int, float]]] = defaultdict(list)
            for one in found["along"]:
                if one["arm"] == arm and one[part]:
                    lines[one["seed"]].append((one["iteration"], 100 * float(np.mean(one[part]))))
            for points in lines.values():
                label = arm if points is next(iter(lines.values())) else None
                axis.plot(*zip(*points, strict=True), color=f"C{ORDER.index(arm)}", label=label)
        axis.axhline(100 * found["along"][0]["keys"], color="grey", ls="--", lw=1)
        axis.set_xlabel("iteration")
        axis.set_title(f"{part} (mean of its layers)", fontsize=9)
    axes[0].set_ylabel("attention to memory, %")
    axes[0].legend(fontsize=7)
    figure.tight_layout(pad=0.4)
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)
    with Image.open(PICTURE, formats=("PNG",)) as image:
        image.convert("RGB").quantize(64).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
