"""`attention`: draw the attention of memory tokens over a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.directories import ResultsDirectory, RunsDirectory
from ifc_bench.cli.options import MOST_FRAMES, ShortEdge, number
from ifc_bench.cli.predict import Checkpoint, Images, Own, TrainingId, Videos
from ifc_bench.data.files import Files
from ifc_bench.errors import UserError
from ifc_bench.store import Store

Picture = Annotated[Path, Parameter(help="The PNG to write.")]


def command(
    *,
    data: Videos,
    video: Annotated[int, number("ID of a video.", -(2**63), 2**63)],
    out: Picture,
    images: Images = None,
    checkpoint: Checkpoint = None,
    training: TrainingId = None,
    own: Own = None,
    first: Annotated[int, number("First frame of the clip, from 0.", 0, 2**31)] = 0,
    window: Annotated[int, number("T: frames of the clip.", 1, MOST_FRAMES)] = 5,
    block: Annotated[
        int, number("The Encode-Receive layer, from 0. Default: the last.", -1000, 1000)
    ] = -1,
    short_edge: ShortEdge = None,
    results: ResultsDirectory = Path("results"),
    runs: RunsDirectory = Path("runs"),
) -> None:
    """Draw the attention of memory tokens over a clip (paper, Figure 2).

    Two tokens are drawn: those with the largest and with the smallest share of their attention on
    instances. Instances are those of the ground truth or, without one, of the model's predictions.

    Example: python run_ablations.py attention --checkpoint ifc_r50.pth --data clips --video 3
    --short-edge 360 --out attention.png
    """
    require_png(out)
    from ifc_bench.data.loading import VideoDataset
    from ifc_bench.inference import load_model
    from ifc_bench.pictures.attention import Clip, draw_attention  # torch: only where it is needed

    videos = VideoDataset(Files.at(data, images), unannotated=True)
    model = load_model(Store(results, runs), training, checkpoint, own=own or ()).eval()
    clip = Clip(video, first, window, short_edge)
    print(f"{out}: {draw_attention(videos, model, clip, out, block)}")


def require_png(out: Path) -> None:
    """Check the name of the picture, before hours of other work.

    Raises:
        UserError: if it does not end in .png, or is a directory.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"--out: {str(out)!r} does not end in .png; name the PNG to write")
    if out.is_dir():
        raise UserError(f"--out: {out}: is a directory; name the PNG to write")
