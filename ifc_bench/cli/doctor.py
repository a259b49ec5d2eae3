"""`doctor`: report what works in this installation, what is missing, and the timer's noise."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from tabulate import tabulate

from ifc_bench.cli.options import DeviceName, number, results_for
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text
from ifc_bench.hardware.device import describe_device, resolve_device, usable_cores
from ifc_bench.report.folder_check import contents, faults
from ifc_bench.report.quantities import OVERHEAD, RESOLUTION, SHORT_TIME
from ifc_bench.store import Store

_REQUIRED = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "pycocotools", "scipy")
_OPTIONAL = {
    "av": "predict and data from-video, of video files; pip install av",
    "ray": "run --executor ray; pip install ray",
    "submitit": "run --executor slurm; pip install submitit",
    "tensorboard": "run --tensorboard; pip install tensorboard",
    "detectron2": "the detectron2 bridge; docs/detectron2.md says how to install it",
}
Row = tuple[str, str, str]


def command(
    *,
    device: DeviceName = "auto",
    self_test: Annotated[bool, Parameter(help="Also measure the timer, for --seconds.")] = False,
    seconds: Annotated[float, number("Seconds of the self-test.", 0.1, 86_400)] = 60,
    results: Annotated[
        Path | None,
        Parameter(
            help="Also write the table to this directory; {device} stands for the device's name."
        ),
    ] = None,
    check: Annotated[
        Path | None,
        Parameter(
            help="Check a directory of profiles before it is committed, and nothing else; {device} "
            "stands for the device's name."
        ),
    ] = None,
) -> None:
    """Report versions, devices, attention kernels and optional parts.

    Example: python run_ablations.py doctor --self-test --seconds 10
    """
    place = resolve_device(device)
    if check is not None:
        _check(results_for(check, describe_device(place, 1)))
        return
    rows = [*_versions(), *_nvml(), *_device(place), *_threads(), *_kernels(place)]
    if self_test:
        rows += _self_test(place, seconds)
    text = tabulate(rows, ["part", "found", "note"], "github", disable_numparse=True)
    print(text)
    if results is not None:
        folder = results_for(results, describe_device(place, 1))
        write_text(Store(folder, folder).table_path("doctor"), f"{text}\n")


def _check(folder: Path) -> None:
    store = Store(folder, folder)
    if not store.holds("profile"):
        raise UserError(f"--check: {folder}: has no directory profiles; name one of `profile`")
    found = faults(store)
    if found:
        more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(f"--check: {folder}: {found[0]}{more}")
    print(f"{folder}: {contents(store)}; nothing keeps it from being committed")


def _versions() -> Iterator[Row]:
    yield "python", platform.python_version(), ""
    for name in _REQUIRED:
        yield name, _version(name) or "missing", ""
    for name, what in _OPTIONAL.items():
        version = _version(name) if importlib.util.find_spec(name) else None
        yield name, version or "not installed", "" if version else f"for {what}"


def _nvml() -> Iterator[Row]:
    """Report NVML's bindings, and the retired distribution with a module of the same name."""
    ours, retired = _version("nvidia-ml-py"), _version("pynvml")
    yield "nvidia-ml-py", ours or "missing", "" if ours else "pip install nvidia-ml-py"
    if retired:
        yield (
            "pynvml (distribution)",
            retired,
            "retired; its module hides that of nvidia-ml-py: pip uninstall pynvml, then "
            "pip install --force-reinstall nvidia-ml-py",
        )


def _device(place: str) -> Iterator[Row]:
    import torch

    described = describe_device(place, torch.get_num_threads())
    yield "device", described.name, (described.driver and f"driver {described.driver}") or ""
    if described.kind == "cpu":
        yield "CUDA in torch", str(torch.version.cuda or "no"), "no GPU is used"
        return
    yield "CUDA in torch", str(torch.version.cuda or "no"), f"{torch.cuda.device_count()} GPUs"
    yield from architecture(described.compute_capability, torch.cuda.get_arch_list())


def architecture(capability: str | None, built_for: list[str]) -> Iterator[Row]:
    """Report whether this torch has kernels for the GPU."""
    if capability is None:
        yield "compute capability", "unknown", f"torch is built for {' '.join(built_for)}"
        return
    wanted = capability.replace(".", "")
    major, minor = int(wanted[:-1]), int(wanted[-1])
    numbers = [name.partition("_")[2].rstrip("af") for name in built_for if name.startswith("sm_")]
    runs = any(int(n[:-1]) == major and int(n[-1]) <= minor for n in numbers if n.isdigit())
    runs = runs or any(
        name.startswith("compute_") and int(name.partition("_")[2].rstrip("af")) <= int(wanted)
        for name in built_for
    )
    note = f"torch is built for {' '.join(built_for)}"
    if not runs:
        note = (
            f"this torch has no kernels for it ({' '.join(built_for)}); CUDA 12.6 wheels were the "
            "last for Volta, install torch from them"
            if major == 7 and minor < 5
            else f"this torch has no kernels for it ({' '.join(built_for)}); install another build"
        )
    yield "compute capability", capability, note


def _threads() -> Iterator[Row]:
    import torch

    requested = os.environ.get("OMP_NUM_THREADS")
    note = f"OMP_NUM_THREADS={requested}" if requested else ""
    yield "threads", f"{torch.get_num_threads()} of {usable_cores()} cores", note
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = load > 0.5
    yield "load", f"{load:.1f}", "other processes run; speeds will be lower" if busy else "idle"


def _kernels(place: str) -> Iterator[Row]:
    """Test each attention implementation on the device."""
    import torch

    from ifc_bench.models.attention import require_kernel

    kinds = [torch.float32] if place == "cpu" else [torch.float32, torch.float16, torch.bfloat16]
    for kernel in ("materialised", "math", "efficient", "flash"):
        runs = []
        for kind in kinds:
            try:
                require_kernel(kernel, torch.device(place), kind)
            except UserError:
                continue
            runs.append(str(kind).removeprefix("torch."))
        yield f"attention {kernel}", ", ".join(runs) or "not available", ""


def _self_test(place: str, seconds: float) -> Iterator[Row]:
    import torch

    from ifc_bench.measuring.selftest import timer_noise

    torch.set_num_threads(1)
    noise = timer_noise(torch.device(place), seconds)
    yield "timer resolution", RESOLUTION.text(noise.resolution_seconds), ""
    yield "timer overhead", OVERHEAD.text(noise.overhead_seconds), "start and stop, median"
    work = SHORT_TIME.text(noise.median_seconds)
    yield "same work", work, f"median of {noise.samples}"
    yield "  p5 to p95", f"{noise.spread:.1%}", "of the median"
    yield "  95% interval", f"±{noise.interval:.2%}", "of the median"
    yield "  drift", f"{noise.drift:+.2%}", "last third relative to first third"
    yield "  A/A", f"{noise.a_over_b:+.2%}", "the same work, interleaved with itself"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
