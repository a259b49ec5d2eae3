"""TensorBoard curves of a training run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ifc_bench.config import Training
from ifc_bench.errors import UserError

_FLUSH_EVERY = 50  # iterations


def curves_to(path: Path, work: Training) -> Callable[[int, dict[str, float]], None]:
    """Return the logger of the curves of `work`, which writes below `path`.

    Raises:
        UserError: if the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "--tensorboard: the package tensorboard is not installed; pip install tensorboard"
        ) from None
    writer = SummaryWriter(path)

    def log(iteration: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, iteration)
        if iteration % _FLUSH_EVERY == 0 or iteration == work.optimisation.iterations:
            writer.flush()

    return log
