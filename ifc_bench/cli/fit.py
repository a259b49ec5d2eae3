"""`fit`: predict the peak memory of each variant, which GPUs have enough, and their FPS."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ifc_bench.cli.models import (
    DEFAULT_WINDOWS,
    Attentions,
    FrameSizes,
    Kinds,
    Networks,
    Precisions,
    Tokens,
    Windows,
    models,
    networks,
    parse_size,
    with_own,
)
from ifc_bench.cli.options import DeviceName, Style, Threads, number, results_for
from ifc_bench.cli.profile_refusals import refuse_own
from ifc_bench.cli.progress import bar
from ifc_bench.config import (
    Arithmetic,
    AttentionKernel,
    Footprint,
    ModelConfig,
    OwnNetwork,
    Profile,
)
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text
from ifc_bench.hardware.catalogue import GpuModel, gpu_model
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.records import Device, Record
from ifc_bench.report.calibration import LEAST, calibrated_grid, calibrations
from ifc_bench.report.footprints import footprint_of, render_check, render_fits
from ifc_bench.report.forecast import forecast_grid, forecast_profile, forecasted
from ifc_bench.report.layout import Format, write
from ifc_bench.report.roofline import counts_in, has_scope_times
from ifc_bench.store import Store

_VERSION = 2  # of footprints (config.Footprint)
_MOST_CLIPS = 1024
_PREDICTED = {"measured_on": None, "emulated": None}  # what a measurement is compared with
_GPUS = ["rtx-2080ti", "v100-16gb", "v100-32gb"]


def command(
    *,
    gpu: Annotated[
        list[str] | None, Parameter(help=f"GPUs of the catalogue. Default: {' '.join(_GPUS)}.")
    ] = None,
    purpose: Annotated[
        Literal["inference", "training"], Parameter("--for", help="The work to predict.")
    ] = "inference",
    communication: Kinds = None,
    model: Networks = None,
    tokens: Tokens = None,
    window: Windows = None,
    frame_size: FrameSizes = None,
    attention: Attentions = None,
    precision: Precisions = None,
    clips: Annotated[int, number("Clips of a training batch.", 1, _MOST_CLIPS)] = 2,
    check: Annotated[
        bool, Parameter(help="Also measure each on --device, and print the prediction's error.")
    ] = False,
    calibrate: Annotated[
        bool, Parameter(help="Also correct predictions by the measurements of --check there are.")
    ] = False,
    forecast: Annotated[
        Path | None, Parameter(help="Also predict FPS from the profiles in this directory.")
    ] = None,
    device: DeviceName = "auto",
    threads: Threads = 1,
    results: Annotated[
        Path, Parameter(help="Directory of the records; {device} stands for the device's name.")
    ] = Path("results"),
    style: Style = "github",
) -> None:
    """Predict the peak memory of each variant, and which GPUs have enough.

    The real modules run on fake tensors, without a GPU and almost without memory; those of --model
    as well.

    Example: python run_ablations.py fit --gpu v100-16gb v100-32gb --window 20 36
    --frame-size 720x1280
    """
    gpus = [gpu_model(key) for key in dict.fromkeys(gpu or _GPUS)]
    own = networks(model)
    if own:
        _refuse_with_own(purpose, attention, communication, forecast)
    built_in = models(communication, tokens, attention or ["materialised", "efficient"])
    chosen = with_own(built_in, own, communication)
    types: list[Arithmetic] = precision or ["fp32"]
    sizes = [parse_size(text) for text in frame_size or ["360x640"]]

    def work(
        network: ModelConfig | OwnNetwork, size: tuple[int, int], count: int, kind: Arithmetic
    ) -> Footprint:
        return Footprint(
            model=network,
            purpose=purpose,
            frames=count,
            height=size[0],
            width=size[1],
            clips=clips if purpose == "training" else 1,
            precision=kind,
            version=_VERSION,
        )

    grid = product(chosen, sizes, window or DEFAULT_WINDOWS, types)
    works = list(dict.fromkeys(work(*cell) for cell in grid))
    described = describe_device(resolve_device(device), threads)
    of_kind: Literal["cpu", "cuda"] = "cpu" if device == "cpu" else "cuda"
    learned_from = _learned_from(results_for(forecast, described)) if forecast else None
    results = results_for(results, described)
    store = Store(results, results)  # nothing is kept under runs, so no such directory is made
    if calibrate and not check:
        _measured(store, purpose, of_kind)
    store.prepare()
    from ifc_bench.measuring import footprints  # torch: only where it is needed

    with bar("predict") as tell:
        shown = [render_fits(footprints.predict_all(works, store, tell), gpus, style)]
    if learned_from is not None:
        shown.append(_forecast(works, gpus, learned_from, store, style))
    if check:
        with bar("measure") as tell:
            pairs = footprints.check_all(works, store, resolve_device(device), described, tell)
        shown.append(render_check(pairs, f"{described.name}'s allocator", style))
    if calibrate:
        measured = _measured(store, purpose, of_kind)
        shown += _calibrated(works, measured, described, store, style)
    text = "\n".join(shown)
    print(text)
    if style == "github":
        write_text(store.table_path(f"fit-{purpose}"), text)


def _refuse_with_own(
    purpose: str,
    attention: list[AttentionKernel] | None,
    communication: list[str] | None,
    forecast: Path | None,
) -> None:
    """Refuse what --model has not; beside --communication, options of the built-in networks stay.

    Raises:
        UserError: for training, and for an attention or a forecast of own networks alone.
    """
    if purpose == "training":
        raise UserError(
            "--for: a training step of --model is not predicted, its loss is not known; use "
            "--for inference"
        )
    given = {"--attention": attention is not None, "--forecast": forecast is not None}
    refuse_own(given, communication is None, climb=False)


def _measured(store: Store, purpose: str, kind: Literal["cpu", "cuda"]) -> list[Record]:
    """The measurements that `--calibrate` is fitted to, of devices with enough.

    They are of built-in networks, by `fit --check`.

    Raises:
        UserError: if no device of that kind has enough.
    """
    by_device: dict[str, list[Record]] = {}
    for record in store.records("footprint"):
        work, peak = footprint_of(record)
        device = record.provenance.device
        alike = work.purpose == purpose and work.version == _VERSION and device.kind == kind
        alike = alike and isinstance(work.model, ModelConfig)  # an own network's code may be gone
        if alike and peak is not None and work.measured_on is not None:
            by_device.setdefault(device.name, []).append(record)
    enough = [record for some in by_device.values() if len(some) >= LEAST for record in some]
    if not enough:
        most = max(map(len, by_device.values()), default=0)
        what, there = ("CPU", "") if kind == "cpu" else ("GPU", " on the GPU")
        raise UserError(
            f"--calibrate: {store.results}: has {most} measurements of one {what} for {purpose}, "
            f"{LEAST} are needed; run fit --check{there} with several of --window or --frame-size"
            + ("" if kind == "cpu" else ", or add --device cpu for this CPU")
        )
    return enough


def _calibrated(
    works: list[Footprint],
    measured: list[Record],
    described: Device,
    store: Store,
    style: Format,
) -> list[str]:
    """A table for each device: its predictions as they are, and corrected."""
    from ifc_bench.measuring import footprints

    def predicted(some: Sequence[Footprint]) -> list[Record]:
        return footprints.predict_all(some, store, lambda done, total: None)

    needed = [footprint_of(record)[0].model_copy(update=_PREDICTED) for record in measured]
    pairs = list(zip(predicted(needed), measured, strict=True))
    on_cpu = measured[0].provenance.device.kind == "cpu"
    there = footprints.on_this_allocator(works, described) if on_cpu else works
    grids = [calibrated_grid(predicted(there), learned) for learned in calibrations(pairs)]
    return [write(grid, style) for grid in grids]


def _learned_from(folder: Path) -> Store:
    """The records that `--forecast` is fitted to.

    Raises:
        UserError: if the directory has no profile of noise with times of scopes.
    """
    store = Store(folder, Path("runs"))
    if not any(has_scope_times(record) for record in store.records("profile")):
        raise UserError(
            f"--forecast: {folder}: has no profiles with scopes; run profile first, or name "
            "another directory"
        )
    return store


def _forecast(
    works: list[Footprint], gpus: list[GpuModel], learned_from: Store, store: Store, style: Format
) -> str:
    """Count what is not counted yet, and predict."""
    from ifc_bench.measuring.counts import count_all  # torch: only where it is needed

    profiles = [record for record in learned_from.records("profile") if has_scope_times(record)]
    count_of = counts_in(store, learned_from)
    measured = [record.work for record in profiles if isinstance(record.work, Profile)]
    needed = [*measured, *map(forecast_profile, forecasted(works))]
    clips = dict.fromkeys(clip for work in needed if (clip := work.clip_count) is not None)
    count_all([clip for clip in clips if count_of(clip) is None], store)
    return write(forecast_grid(works, gpus, profiles, count_of), style)
