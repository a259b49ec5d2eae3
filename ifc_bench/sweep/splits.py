"""Both splits of a data set, read when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from ifc_bench.config import SyntheticData
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.synthetic import synthesize
from ifc_bench.data.youtube_vis import split_hash
from ifc_bench.store import Store


class Splits:
    """Training and validation videos; the embedded benchmark is written where it is missing."""

    def __init__(self, store: Store, data: SyntheticData) -> None:
        self.folder = store.data_path(data)
        synthesize(data, self.folder)

    @cached_property
    def train(self) -> VideoDataset:
        return _cached(self.folder / "train")

    @cached_property
    def valid(self) -> VideoDataset:
        return _cached(self.folder / "valid")

    @cached_property
    def digest(self) -> str:
        """The hashes of both splits, joined by "+"."""
        return "+".join(split_hash(self.folder / split) for split in ("train", "valid"))


def _cached(folder: Path) -> VideoDataset:
    """Frames of the embedded benchmark are small: all of them stay in memory."""
    return VideoDataset(folder, cached_frames=1 << 20)
