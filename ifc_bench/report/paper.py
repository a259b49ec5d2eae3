"""The numbers that the paper prints, from `reference.csv`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ifc_bench.errors import UserError

REFERENCE = Path(__file__).with_name("reference.csv")
_GPUS = ("RTX 2080 Ti", "V100")
_COLUMNS = ("table", "factor", "variant", "T", "metric", "mean", "std", "unit", "setting")


class PaperNumbers:
    """Published means and stds by table, variant, window and metric."""

    def __init__(self, path: Path = REFERENCE) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such file; --compare paper needs it, restore it from git")
        frame = pd.read_csv(path, dtype={"table": str, "variant": str})
        missing = [column for column in _COLUMNS if column not in frame.columns]
        if missing:
            raise UserError(f"{path}: column {missing[0]} is missing; restore the file from git")
        self.frame = frame

    def find(
        self, table: str | None, variant: str, window: int | None, metric: str, setting: str = ""
    ) -> tuple[float, float | None] | None:
        """Printed mean and std (None where the paper prints none); None where there is no such.

        `window` None finds what the paper prints without telling the window.
        """
        rows = self.frame[
            (self.frame["table"] == table)
            & (self.frame["variant"] == variant)
            & (self.frame["T"].isna() if window is None else self.frame["T"] == window)
            & (self.frame["metric"] == metric)
        ]
        if setting:
            rows = rows[rows["setting"] == setting]
        if rows.empty:
            return None
        mean, std = rows.iloc[0][["mean", "std"]]
        return float(mean), None if pd.isna(std) else float(std)

    def has_stds(self, table: str | None) -> bool:
        """Whether `table` prints stds of AP."""
        rows = self.frame[(self.frame["table"] == table) & (self.frame["metric"] == "AP")]
        return bool(rows["std"].notna().any() and rows["T"].notna().any())

    def gpu(self, table: str | None) -> str | None:
        """The GPU model behind the FPS that `table` prints; None where there is none."""
        rows = self.frame[(self.frame["table"] == table) & (self.frame["metric"] == "FPS")]
        unit = " ".join(rows["unit"].dropna())
        return next((gpu for gpu in _GPUS if gpu in unit), None)
