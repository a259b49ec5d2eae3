"""`profile`: measure speed, memory and energy of every variant on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

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
from ifc_bench.cli.older_rows import tell_of_older
from ifc_bench.cli.options import (
    MOST_FRAMES,
    DeviceName,
    ExpectGpu,
    Style,
    Threads,
    number,
    refuse_other_gpu,
    results_for,
)
from ifc_bench.cli.passes import Passes
from ifc_bench.cli.profile_refusals import (
    refuse_contradictions,
    refuse_own,
    refuse_rungs,
    refuse_short,
)
from ifc_bench.cli.progress import bar
from ifc_bench.config import (
    Arithmetic,
    FolderData,
    InferenceForm,
    ModelConfig,
    NoiseFrames,
    OwnNetwork,
    Profile,
    Protocol,
    RandomWeights,
    ladder,
    variant_name,
)
from ifc_bench.data.catalogue import adopt_clips
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.records import Device
from ifc_bench.report.ladder import render_ladder
from ifc_bench.report.own_networks import counted_in
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.store import Store

_MOST_CLIPS = 100_000


@Parameter(name="*")
@dataclass(frozen=True)
class Execution:
    """Options of torch for running the network."""

    compiled: Annotated[bool, Parameter("--compile", help="Run with torch.compile.")] = False
    channels_last: Annotated[
        bool,
        Parameter(negative="--no-channels-last", help="Memory format of convolution tensors."),
    ] = True
    form: Annotated[
        InferenceForm,
        Parameter(
            help="Order of the network's operations: the released code's (each window on its own), "
            "with windows that share what is the same, or also with folded batch norm."
        ),
    ] = "release"
    cudnn_benchmark: Annotated[bool, Parameter(help="Let cuDNN time its algorithms first.")] = False
    deterministic: Annotated[bool, Parameter(help="Only deterministic algorithms.")] = False


@Parameter(name="*")
@dataclass(frozen=True)
class Subjects:
    """Options for the videos and windows to measure."""

    frame_size: FrameSizes = None
    window: Windows = None
    stride: Annotated[int, number("S: frames between windows.", 1, MOST_FRAMES)] = 1
    offline: Annotated[bool, Parameter(help="Also measure one window for the whole video.")] = False
    video_length: Annotated[
        int, number("Frames of the synthetic video (noise).", 1, MOST_FRAMES)
    ] = 36
    data: Annotated[
        Path | None, Parameter(help="Real clips: a directory in the YouTube-VIS format.")
    ] = None
    videos: Annotated[int, number("Number of clips of --data.", 1, _MOST_CLIPS)] = 8
    instances: Annotated[int, number("Instances per window, for random weights.", 1, 10**6)] = 10

    @property
    def windows(self) -> list[int | None]:
        """Return T of every row; None is the offline mode."""
        return [*(self.window or DEFAULT_WINDOWS), *([None] if self.offline else [])]


_SUBJECTS, _EXECUTION, _PASSES = Subjects(), Execution(), Passes()


def command(
    *,
    communication: Kinds = None,
    model: Networks = None,
    tokens: Tokens = None,
    subjects: Subjects = _SUBJECTS,
    attention: Attentions = None,
    precision: Precisions = None,
    execution: Execution = _EXECUTION,
    climb: Annotated[
        bool,
        Parameter(
            "--ladder",
            negative=(),
            help="Measure the speed ladder of every row: the released order, then one change after "
            "the other.",
        ),
    ] = False,
    passes: Passes = _PASSES,
    device: DeviceName = "auto",
    threads: Threads = 1,
    expect_gpu: ExpectGpu = None,
    results: Annotated[
        Path, Parameter(help="Directory of the records; {device} stands for the device's name.")
    ] = Path("results"),
    runs: Annotated[Path, Parameter(help="Directory of unfinished measurements.")] = Path("runs"),
    style: Style = "github",
) -> None:
    """Measure FPS, latency, memory and energy, scope by scope; write records, print a table.

    Every row is measured in several processes, interleaved with the other rows. A row that has a
    record is not measured again; an interrupted session can be continued. The table in the results
    directory shows all profiles in it.

    Example: python run_ablations.py profile --communication none ifc --window 5 20
    --frame-size 96x160 --video-length 20 --processes 3
    """
    described = describe_device(resolve_device(device), threads)
    refuse_other_gpu(expect_gpu, described.name)
    results = results_for(results, described)
    store = Store(results, runs)
    real = adopt_clips(subjects.data, store) if subjects.data else None
    own = networks(model, subjects.instances)
    built_in = models(communication, tokens, attention or ["materialised"])
    chosen = with_own(built_in, own, communication)
    types: list[Arithmetic] = precision or ["fp32"]
    protocol = Protocol(**asdict(passes))
    given = {
        "--attention": attention is not None,
        "--precision": precision is not None,
        "--compile": execution.compiled,
        "--no-channels-last": not execution.channels_last,
        "--form": execution.form != "release",
    }
    if own:
        refuse_own(given, communication is None, climb)
    works = _works(chosen, types, subjects, real, described, execution, protocol)
    if climb:
        refuse_rungs(given)
        works = [rung for work in works for rung in ladder(work, described.kind == "cuda")]
    refuse_short(works, real, subjects.video_length)
    refuse_contradictions(works, subjects.instances, protocol)
    tell_of_older(works, store, described)
    _measure(works, store, resolve_device(device))
    records = [record for one in works if (record := store.load(one)) is not None]
    if climb:
        print(render_ladder(records, style))
        write_text(store.table_path("ladder"), render_ladder(store.records("profile")))
    else:
        counts = counted_in(store)
        print(render_profiles(records, style, PaperNumbers(), counts))
        everything = render_profiles(store.records("profile"), "github", PaperNumbers(), counts)
        write_text(store.table_path("profile"), everything)
    failed = [record for record in records if record.status == "failed"]
    if failed:
        last = (failed[0].error or "").strip().splitlines()[-1]
        raise UserError(f"{len(failed)} rows failed, the first with {last}; run again to retry")


def _works(
    chosen: list[ModelConfig | OwnNetwork],
    types: list[Arithmetic],
    subjects: Subjects,
    real: FolderData | None,
    device: Device,
    execution: Execution,
    protocol: Protocol,
) -> list[Profile]:
    """Create one profile for each model, frame size, window and precision, without duplicates."""

    def work(
        model: ModelConfig | OwnNetwork, place: str, window: int | None, precision: Arithmetic
    ) -> Profile:
        height, width = parse_size(place)
        short = min(height, width) if real and subjects.frame_size else None
        settings = asdict(execution)
        weights: RandomWeights | OwnNetwork
        if isinstance(model, OwnNetwork):
            weights, settings["form"] = model, "release"  # it has no other
        else:
            weights = RandomWeights(model=model, instances=subjects.instances)
        return Profile(
            weights=weights,
            footage=real or NoiseFrames(frames=subjects.video_length, height=height, width=width),
            videos=subjects.videos if real else 1,
            window=window,
            stride=subjects.stride if window else 1,
            size=short,
            device=device.name,
            threads=device.threads or 1,
            precision=precision,
            protocol=protocol,
            **settings,
        )

    grid = product(chosen, subjects.frame_size or ["360x640"], subjects.windows, types)
    return list(dict.fromkeys(work(*place) for place in grid))


def _measure(works: list[Profile], store: Store, device: str) -> None:
    """Measure the profiles without a record, with a progress bar; count the MACs of each clip."""
    from ifc_bench.measuring.counts import count_all
    from ifc_bench.measuring.profiles import measure_profiles, require_kernels

    store.prepare()
    left = [work for work in works if not store.done(work)]
    require_kernels(left, device)
    console = Console(stderr=True, highlight=False)
    if left:
        count = sum(work.protocol.processes for work in left)
        console.print(f"{len(left)} rows on {left[0].device}, {count} processes, one at a time")
    with bar("profile") as tell:

        def show(work: Profile | None, done: int, total: int) -> None:
            if work is None:
                console.print("another measurement runs on this machine; waiting for its end")
                return
            tell(done, total)
            if not console.is_terminal and done % 10 == 0:
                window = work.window or "video"
                console.print(f"[{done}/{total}] {variant_name(work.model)} T={window}")

        for _ in measure_profiles(left, store, device, show):
            pass
    count_all([clip for work in works if (clip := work.clip_count)], store)
