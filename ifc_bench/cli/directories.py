"""Options that name directories, apart from the others, which take long to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

ResultsDirectory = Annotated[Path, Parameter(help="Directory of the records.")]
RunsDirectory = Annotated[Path, Parameter(help="Directory of checkpoints and generated data.")]
