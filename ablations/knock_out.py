"""Our own table: what do the committed networks lose if communication is taken away?

The weights are those of the committed baseline's seed 0 in half precision, so nothing is trained;
the scenes are controls of another data seed than any training's.
"""

from ablations.presets import FULL
from ablations.variants import COMMUNICATIONS
from ifc_bench.config import SyntheticData, Testing
from ifc_bench.recipe import Contrast, Control, Expected, Preset, Row, Table

_SCENES = SyntheticData(generator=3, seed=2000, train_videos=1, validation_videos=48)
_TALKING = ("Decomp T-HW", "Full THW", "IFC")


def knock_out(preset: Preset) -> Table:
    """The four modules, then three of them with every frame isolated; the same for any preset."""

    def row(label: str, module: str, isolated: bool = False) -> Row:
        test = Testing(window=5, data=_SCENES, weights="kept", isolated=isolated)
        made = Row.of(FULL, label, model={"communication": COMMUNICATIONS[module]}, tests=(test,))
        return made.model_copy(update={"most_seeds": 1})

    return Table(
        name="knock_out",
        title="Knock-out (ours): the committed weights with and without communication",
        factor="communication",
        rows=(
            *(row(label, label) for label in COMMUNICATIONS),
            *(row(f"{label}, isolated", label, isolated=True) for label in _TALKING),
        ),
        metrics=("AP",),
        controls=(
            _use("blank_static", "above", "only another frame shows the outline"),
            _use("fog", "above", "the other frames are clearer"),
            _use("clear_static", "equal", "every frame shows everything"),
        ),
    )


def _use(situation: str, expected: Expected, reason: str) -> Control:
    return Control(
        situation=situation,
        measure="AP" if expected == "equal" else "marked IoU",
        contrasts=tuple(
            Contrast(row=label, against=f"{label}, isolated", expected=expected)
            for label in _TALKING
        ),
        reason=reason,
    )
