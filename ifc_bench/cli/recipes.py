"""The tables and presets that the commands know, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ifc_bench.config import SyntheticData
from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable, Preset

Recipe = Callable[[Preset], AnyTable]


@dataclass(frozen=True)
class Recipes:
    """What `run_ablations.py` hands in from `ablations/`."""

    tables: Mapping[str, Recipe]
    presets: Mapping[str, Preset]

    def preset(
        self, name: str, seeds: int | None = None, windows: list[int] | None = None
    ) -> Preset:
        """A preset by name, with other seeds or windows where they are given."""
        if name not in self.presets:
            raise UserError(f"--preset: {name!r} is none of {', '.join(self.presets)}")
        preset = self.presets[name]
        longest = max(windows or preset.windows)
        if isinstance(preset.data, SyntheticData) and longest > preset.data.frames:
            raise UserError(
                f"--window: T = {longest} is longer than the videos of preset {name}, which have "
                f"{preset.data.frames} frames; choose at most that"
            )
        changes = {"seeds": seeds, "windows": tuple(windows) if windows else None}
        return preset.model_copy(update={k: v for k, v in changes.items() if v is not None})

    def chosen(self, names: list[str] | None, preset: Preset) -> list[AnyTable]:
        """Tables by name; the preset's own where no name is given."""
        found = []
        for name in names or preset.tables:
            if name not in self.tables:
                raise UserError(f"TABLE: {name!r} is none of {', '.join(self.tables)}")
            found.append(self.tables[name](preset))
        return found
