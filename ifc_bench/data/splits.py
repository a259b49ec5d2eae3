"""Both splits of a data set, loaded on first use."""

from __future__ import annotations

from functools import cached_property

from ifc_bench.config import Data, SyntheticData
from ifc_bench.data.annotations import refuse_unlike_categories
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.synthetic import DIGEST, synthesize
from ifc_bench.errors import UserError
from ifc_bench.store import Store


class Splits:
    """Training and validation videos; the embedded benchmark is generated if missing.

    Raises:
        UserError: if a user's data set is not registered under the runs directory.
    """

    def __init__(self, store: Store, data: Data) -> None:
        self.folder = store.data_path(data)
        self.embedded = isinstance(data, SyntheticData)
        if isinstance(data, SyntheticData):
            synthesize(data, self.folder)
        elif not self.folder.is_dir():
            raise UserError(f"{data.name}: is not registered here; name its directory with --data")

    @cached_property
    def train(self) -> VideoDataset:
        return self._split("train")

    @cached_property
    def valid(self) -> VideoDataset:
        return self._split("valid")

    def check(self) -> None:
        """Refuse data that is not fit for training.

        Raises:
            UserError: if a split is empty or invalid, the classes of the splits differ, or the
                embedded data set has changed since it was generated.
        """
        for split in (self.train, self.valid):
            for field in ("videos", "categories"):
                if not getattr(split.instances, field):
                    raise UserError(
                        f"{split.files.annotations}: {field}: is empty; a split needs {field}"
                    )
        refuse_unlike_categories(
            self.train.instances.categories,
            self.valid.instances.categories,
            self.train.files.annotations,
            self.valid.files.annotations,
        )
        self.refuse_changed()

    def refuse_changed(self) -> None:
        """Refuse an embedded data set that is not as it was generated.

        Raises:
            UserError: if a file of it, or the note of its digest, has changed.
        """
        note = self.folder / DIGEST
        if self.embedded and (not note.exists() or note.read_text() != self.digest):
            raise UserError(
                f"{self.folder}: frames or annotations changed after they were written; delete "
                "the directory, and the same command generates it again"
            )

    @cached_property
    def digest(self) -> str:
        """Hashes of both splits, joined by "+"."""
        splits = (self.train, self.valid)
        return "+".join(split.digest(every_byte=self.embedded) for split in splits)

    def _split(self, name: str) -> VideoDataset:
        """Load a split; the frames of the embedded benchmark are small, so all are cached."""
        return VideoDataset(self.folder / name, cached_frames=1 << 20 if self.embedded else 0)
