"""Draws docs/situations.png: the six situations of the embedded benchmark, with their masks."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ifc_bench.config import SyntheticData
from ifc_bench.data.scenes import render
from ifc_bench.data.situations import SITUATIONS

SHOWN = range(6, 18, 2)
COLOURS = ("#ffffff", "#f0e442", "#56b4e9")


def main() -> None:
    """Outline every instance in its own colour, one row for each situation."""
    figure, axes = plt.subplots(len(SITUATIONS), len(SHOWN), figsize=(9.6, 6.7), squeeze=False)
    for row, situation in enumerate(SITUATIONS):
        generator = np.random.default_rng([0, 1, row])
        frames, masks, *_ = render(SyntheticData(), SITUATIONS[situation], generator)
        for axis, index in zip(axes[row], SHOWN, strict=True):
            axis.imshow(frames[index])
            for mask, colour in zip(masks[:, index], COLOURS, strict=False):
                if mask.any():
                    axis.contour(mask, levels=[0.5], colors=colour, linewidths=1.4)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row][0].set_ylabel(situation.replace("_", "\n"), rotation=0, ha="right", va="center")
    for axis, index in zip(axes[0], SHOWN, strict=True):
        axis.set_title(f"frame {index}", fontsize=9)
    figure.tight_layout(pad=0.3)
    path = Path(__file__).with_name("situations.png")
    figure.savefig(path, dpi=90)
    with Image.open(
        path, formats=("PNG",)
    ) as image:  # 64 colours are enough, and a third of the size
        image.convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
