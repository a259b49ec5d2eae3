"""Our own table: where communication must help, where it cannot, and does the benchmark see it?

What each control must show was written down before any of its trainings (docs/controls.md).
"""

from ablations.variants import COMMUNICATIONS
from ifc_bench.config import Communication, InterFrame, SyntheticData
from ifc_bench.recipe import Contrast, Control, Expected, Preset, Row, Table

_TALKING = ("Decomp T-HW", "Full THW", "IFC")
_TIMED = "Full THW +time"


def decide(preset: Preset) -> Table:
    """The four modules, Full THW that knows the order of frames, and the modules taken away."""

    data, seeds = preset.video.data, preset.seeds_of("decide")
    if isinstance(data, SyntheticData):
        data = data.model_copy(update={"generator": 3})  # the first with controls

    def row(label: str, module: Communication, isolated: bool = False, **changes: object) -> Row:
        # What isolated frames cost is asked at T = 5 alone.
        ends = preset.windows[:1] if isolated else (preset.windows[0], preset.windows[-1])
        tests = tuple(
            test
            for window in dict.fromkeys(ends)
            for test in preset.tests(preset.video, {"isolated": isolated, "window": window})
        )
        model = {"communication": module, **changes}
        # Rows beside the four modules have half of the seeds.
        fewer = None if label in COMMUNICATIONS or isolated else max(seeds // 2, 1)
        made = Row.of(preset, label, model=model, tests=tests, data=data)
        return made.model_copy(update={"most_seeds": fewer})

    return Table(
        name="decide",
        title="Controls (ours): does communication help where it must?",
        factor="communication",
        rows=(
            *(row(label, module) for label, module in COMMUNICATIONS.items()),
            row("M = 1", InterFrame(memory_tokens=1)),
            row("M = 16", InterFrame(memory_tokens=16)),
            row(_TIMED, COMMUNICATIONS["Full THW"], time_positions=True),
            *(row(f"{one}, isolated", COMMUNICATIONS[one], isolated=True) for one in _TALKING),
        ),
        metrics=("AP", "AP75"),
        baseline="No Comm",
        controls=_controls(),
    )


def _against(*rows: str, expected: Expected, against: str = "No Comm") -> tuple[Contrast, ...]:
    return tuple(Contrast(row=row, against=against, expected=expected) for row in rows)


def _controls() -> tuple[Control, ...]:
    use = tuple(Contrast(row=row, against=f"{row}, isolated", expected="equal") for row in _TALKING)
    return (
        Control(
            situation="blank_static",
            measure="marked IoU",
            contrasts=_against(*_TALKING, expected="above"),
            reason="blobs that stand still, in frames of which three in ten are grey; only another "
            "frame shows the outline",
        ),
        Control(
            situation="blank_static",
            measure="marked IoU",
            contrasts=(
                *_against("Full THW", expected="above", against="IFC"),
                *_against("M = 16", expected="above", against="M = 1"),
            ),
            reason="what passes through few memory tokens has less of an outline",
        ),
        Control(
            situation="fog",
            measure="marked IoU",
            contrasts=_against(*_TALKING, expected="above"),
            reason="contrast falls as low as 3%; the marked frames are the foggiest third",
        ),
        Control(
            situation="blank_moving",
            measure="marked IoU",
            window=20,
            contrasts=_against(_TIMED, expected="above", against="Full THW"),
            reason="without time all grey frames of a window have the same drawing, wherever the "
            "instance is",
        ),
        Control(
            situation="clear_static",
            measure="AP",
            contrasts=_against(*_TALKING, expected="equal"),
            reason="every frame shows everything; other frames have nothing to add",
        ),
        Control(
            situation="clear_static",
            measure="AP",
            contrasts=use,
            reason="the same weights, with communication taken away, where it has nothing to add",
        ),
        Control(
            situation="direction",
            measure="class accuracy",
            margin=0.05,
            contrasts=_against(*_TALKING, expected="equal"),
            reason="the class is the direction of motion: a half is right by chance for a network "
            "that does not know the order of frames",
        ),
        Control(
            situation="direction",
            measure="class accuracy",
            margin=0.05,
            contrasts=_against(_TIMED, expected="above"),
            reason="with positions in time the order of frames tells the class",
        ),
    )
