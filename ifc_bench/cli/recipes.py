"""Tables and presets by name, for the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ifc_bench.config import OwnModule, SyntheticData
from ifc_bench.errors import UserError
from ifc_bench.models.own import own_module
from ifc_bench.recipe import AnyTable, Preset

Recipe = Callable[[Preset], AnyTable]


@dataclass(frozen=True)
class Recipes:
    """Tables and presets that `run_ablations.py` passes in from `ablations/`.

    `given` is the whole command line, for runners on other machines.
    """

    tables: Mapping[str, Recipe]
    presets: Mapping[str, Preset]
    given: tuple[str, ...] = ()

    def _refuse_none(self) -> None:
        """Refuse to run without recipes.

        Raises:
            UserError: outside a clone.
        """
        if not self.presets:
            raise UserError(
                "no recipes found: tables and presets are in ablations/ of the clone; run this "
                "command in the clone's directory"
            )

    def preset(
        self, name: str, seeds: int | None = None, windows: list[int] | None = None
    ) -> Preset:
        """Return a preset by name, with other seeds or windows if given."""
        self._refuse_none()
        if name not in self.presets:
            raise UserError(f"--preset: {name!r} is none of {', '.join(self.presets)}")
        preset = self.presets[name]
        longest = max(windows or preset.windows)
        if isinstance(preset.video.data, SyntheticData) and longest > preset.video.data.frames:
            raise UserError(
                f"--window: T = {longest} is longer than the videos of preset {name}, which have "
                f"{preset.video.data.frames} frames; choose at most that"
            )
        if seeds is not None:
            preset = preset.model_copy(update={"seeds": seeds, "seeds_of_tables": ()})
        if windows:
            preset = preset.model_copy(update={"windows": tuple(dict.fromkeys(windows))})
        return preset

    def chosen(
        self, names: Sequence[str], preset: Preset, own: Sequence[str] = ()
    ) -> list[AnyTable]:
        """Return tables by name, each once; without names, the preset's tables.

        Tables of communication modules get a row for each of `own`, "package.module:Class".

        Raises:
            UserError: if a name is unknown, or no chosen table can have rows for `own`.
        """
        self._refuse_none()
        found = []
        for name in dict.fromkeys(names or preset.tables):
            if name not in self.tables:
                raise UserError(f"TABLE: {name!r} is none of {', '.join(self.tables)}")
            found.append(self.tables[name](preset))
        if not own:
            return found
        modules = [own_module(source) for source in dict.fromkeys(own)]
        if not any(table.compares_modules for table in found):
            raise UserError(f"--own: {own[0]}: needs a table of communication, such as own")
        return [_with_rows(table, preset, modules) for table in found]


def _with_rows(table: AnyTable, preset: Preset, modules: Sequence[OwnModule]) -> AnyTable:
    """Add a row for each module, if the table compares communication modules."""
    if table.compares_modules:
        for module in modules:
            table = table.with_communication(preset, module)
    return table
