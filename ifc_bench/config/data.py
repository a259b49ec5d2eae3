"""Data sets: the embedded benchmark, or a directory of the user."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ifc_bench.config.strict import Strict


class SyntheticData(Strict):
    """Parameters of the embedded benchmark; `ifc_bench.data.synthetic` generates the files.

    `generator` is the version of the scene rules: raise it when the same seed gives other scenes.
    Version 3 has controls among the situations, and marks the frames that hide the scene.
    """

    kind: Literal["synthetic"] = "synthetic"
    generator: Literal[2, 3] = 2
    seed: NonNegativeInt = 0
    train_videos: PositiveInt = 240
    validation_videos: PositiveInt = 60
    frames: PositiveInt = 24
    height: PositiveInt = 64
    width: PositiveInt = 96


class FolderData(Strict):
    """Videos or images of the user, in the YouTube-VIS or the COCO format.

    `train` and `valid` are the SHA-256 of the two annotation files. Their paths are not part of the
    configuration; the store keeps them. Empty hashes mean a data set that `--data` has yet to name.
    """

    kind: Literal["folder"] = "folder"
    name: str
    train: str = ""
    valid: str = ""

    @property
    def known(self) -> bool:
        return bool(self.train and self.valid)


Data = Annotated[SyntheticData | FolderData, Field(discriminator="kind")]
