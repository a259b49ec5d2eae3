"""`attention` and `diagram`: what is inside the network, as in the paper's Figures 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ifc_bench.cli.numbers import MOST_FRAMES, MOST_SIDE, MOST_TOKENS
from ifc_bench.cli.predicting import (
    Checkpoint,
    Images,
    Own,
    TrainingId,
    Videos,
    chosen_model,
)
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.variants import communication_of, parse_size
from ifc_bench.data.files import Files
from ifc_bench.errors import UserError
from ifc_bench.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from ifc_bench.data.loading import VideoDataset
    from ifc_bench.data.youtube_vis import Video
    from ifc_bench.models.ifc import IFC

Picture = Annotated[Path, typer.Option(help="The PNG to write.")]


def add_to(app: typer.Typer, recipes: Recipes) -> None:
    """Add the two commands."""

    @app.command("attention")
    def attention_command(
        data: Videos,
        video: Annotated[int, typer.Option(help="A video's id.")],
        out: Picture,
        images: Images = None,
        checkpoint: Checkpoint = None,
        training: TrainingId = None,
        own: Own = None,
        first: Annotated[int, typer.Option(min=0, help="The clip's first frame.")] = 0,
        window: Annotated[int, typer.Option(min=1, max=MOST_FRAMES, help="T of the clip.")] = 5,
        block: Annotated[
            int, typer.Option(help="The Encode-Receive layer, 0 first. Default: the last.")
        ] = -1,
        size: Annotated[
            Optional[int],
            typer.Option(min=32, max=MOST_SIDE, help="Shorter side of the frames (paper: 360)."),
        ] = None,
        results: Annotated[Path, typer.Option(help="Where records lie.")] = Path("results"),
        runs: Annotated[Path, typer.Option(help="Where checkpoints lie.")] = Path("runs"),
    ) -> None:
        """Draw what memory tokens attend to over a clip (paper, Figure 2).

        Two are drawn: the one with the largest share of its attention on instances, and the one
        with the least. Instances are the ground truth's, or the model's own where there is none.

        Example: python run_ablations.py attention --checkpoint ifc_r50.pth --data clips --video 3
        --size 360 --out attention.png
        """
        _require_png(out)
        from ifc_bench.data.loading import VideoDataset
        from ifc_bench.models.inspection import foreground_share, memory_attention
        from ifc_bench.pictures.strips import attention_strip, save
        from ifc_bench.pictures.videos import video_of  # torch: only where it is needed

        videos = VideoDataset(Files.at(data, images), unannotated=True)
        store = Store(results, runs)
        model = chosen_model(checkpoint, training, store, "cpu", own or ()).eval()
        chosen = video_of(videos, video)
        if first + window > chosen.length:
            raise UserError(
                f"--first, --window: frames {first} to {first + window - 1} are not all in video "
                f"{video}, which has {chosen.length}"
            )
        indices = list(range(first, first + window))
        clip = videos.frames(chosen, indices, size)
        maps = memory_attention(model, clip, block)
        truth, whose = _foreground(videos, chosen, indices, model, clip)
        share = foreground_share(maps, truth)
        most, least = int(share.argmax()), int(share.argmin())
        area = float(truth.float().mean())
        named = [(f"token {i}: {share[i]:.0%}", maps[:, i].numpy()) for i in (most, least)]
        title = (
            f"video {video}: memory tokens with most and least attention on instances ({whose}, "
            f"{area:.0%} of the area)"
        )
        save(attention_strip(clip.permute(0, 2, 3, 1).numpy(), indices, named, title), out)
        print(
            f"{out}: of {len(share)} tokens, {most} has {share[most]:.1%} of its attention on "
            f"instances, {least} has {share[least]:.1%}; they are {area:.1%} of the area"
        )

    @app.command("diagram")
    def diagram_command(
        out: Picture,
        communication: Annotated[
            str, typer.Option(help="none, full, decomposed, ifc, or package.module:Class.")
        ] = "ifc",
        tokens: Annotated[
            int, typer.Option(min=0, max=MOST_TOKENS, help="Memory tokens M of ifc.")
        ] = 8,
        frames: Annotated[int, typer.Option(min=1, max=MOST_FRAMES, help="T of the clip.")] = 5,
        size: Annotated[str, typer.Option(help="Frames, HEIGHTxWIDTH.")] = "360x640",
        preset: Annotated[str, typer.Option(help="Whose network.")] = "released",
    ) -> None:
        """Draw the network with the shapes and parameters of its parts (paper, Figure 3).

        Example: python run_ablations.py diagram --communication ifc --out network.png
        """
        _require_png(out)
        from ifc_bench.models.inspection import parts
        from ifc_bench.pictures.diagram import diagram  # torch: only where it is needed
        from ifc_bench.pictures.strips import save

        height, width = parse_size(size)
        talk = communication_of(communication, tokens)
        model = recipes.preset(preset).model.model_copy(update={"communication": talk})
        found = parts(model, frames, height, width)
        named = f"M = {tokens}, " if communication == "ifc" else ""
        title = f"{communication}, {named}T = {frames}, {size}, network of preset {preset}"
        save(diagram(found, (frames, height, width), title), out)
        print(f"{out}: {sum(part.parameters for part in found):,} parameters")


def _require_png(out: Path) -> None:
    """Look at the name of the picture before hours of other work.

    Raises:
        UserError: where it is not that of a PNG, or of a folder.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"--out: {str(out)!r} is no NAME.png; name the PNG to write")
    if out.is_dir():
        raise UserError(f"--out: {out}: is a folder; name the PNG to write")


def _foreground(
    videos: VideoDataset, video: Video, indices: list[int], model: IFC, clip: Tensor
) -> tuple[Tensor, str]:
    """Pixels [T, H, W] of any instance in the clip, and whose word that is."""
    import torch

    from ifc_bench.masks import decode
    from ifc_bench.models.inspection import predicted_foreground

    tubes = [a.rles for a in videos.instances.annotations if a.video_id == video.id]
    if not tubes:
        return predicted_foreground(model, clip), "the model's own"
    cover = torch.zeros(len(indices), video.height, video.width, dtype=torch.bool)
    for tube in tubes:
        for place, index in enumerate(indices):
            rle = tube[index]
            if rle is not None:
                cover[place] |= torch.from_numpy(decode(rle)).bool()
    return cover, "ground truth"
