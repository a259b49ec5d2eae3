"""Reads a GPU through NVML: properties, clocks, power, processes, energy. Imports no torch.

The library, the driver, the GPU, or a single reading in a container may be missing. A missing value
is None, never guessed, and a measurement continues without it.
"""

from __future__ import annotations

import os
import threading
import time
from types import ModuleType, TracebackType
from typing import Any

from ifc_bench.records import GpuFacts, GpuLog, GpuSamples

_INTERVAL_SECONDS = 0.1


class Gpu:
    """One GPU. Every method returns None (or an empty value) if NVML gives no answer."""

    def __init__(self, index: int, module: ModuleType | None = None) -> None:
        self._nvml: Any = module or _library()
        self._handle: Any = None
        self.readable = False  # whether NVML works at all
        if self._nvml is not None:
            try:
                self._nvml.nvmlInit()
                self.readable = True
                self._handle = self._find(index)
            except Exception:  # no driver or no such GPU; the exception type varies
                self._handle = None

    def _find(self, index: int) -> Any:
        """Find the GPU with CUDA index `index`: NVML ignores CUDA_VISIBLE_DEVICES."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        name = str(index) if visible is None else visible.split(",")[index].strip()
        if name.isdigit():
            return self._nvml.nvmlDeviceGetHandleByIndex(int(name))
        return self._nvml.nvmlDeviceGetHandleByUUID(name)

    @property
    def there(self) -> bool:
        """Whether NVML lists the GPU."""
        return self._handle is not None

    def facts(self) -> GpuFacts:
        """Read the properties that do not change during a measurement."""
        capability = self._read("nvmlDeviceGetCudaComputeCapability")
        memory = self._read("nvmlDeviceGetMemoryInfo")
        ecc, mig = (self._read(f"nvmlDeviceGet{name}Mode") for name in ("Ecc", "Mig"))
        persistence = self._read("nvmlDeviceGetPersistenceMode")
        return GpuFacts(
            name=_text(self._read("nvmlDeviceGetName")),
            uuid=_text(self._read("nvmlDeviceGetUUID")),
            compute_capability=".".join(map(str, capability)) if capability else None,
            driver=_text(self._read("nvmlSystemGetDriverVersion", device=False)),
            memory_bytes=None if memory is None else int(memory.total),
            max_sm_clock_mhz=self._clock("MaxClock", "SM"),
            default_sm_clock_mhz=self._read(
                "nvmlDeviceGetDefaultApplicationsClock", getattr(self._nvml, "NVML_CLOCK_SM", 1)
            ),
            max_memory_clock_mhz=self._clock("MaxClock", "MEM"),
            power_limit_watts=_thousandth(self._read("nvmlDeviceGetPowerManagementLimit")),
            default_power_limit_watts=_thousandth(
                self._read("nvmlDeviceGetPowerManagementDefaultLimit")
            ),
            ecc=None if ecc is None else bool(ecc[0]),
            mig=None if mig is None else bool(mig[0]),
            persistence=None if persistence is None else bool(persistence),
        )

    def sample(self, into: GpuSamples, seconds: float) -> None:
        """Append one reading to `into`."""
        into.seconds.append(round(seconds, 4))
        into.sm_clock_mhz.append(self._clock("Clock", "SM"))
        into.memory_clock_mhz.append(self._clock("Clock", "MEM"))
        into.power_watts.append(self.watts())
        into.temperature_celsius.append(
            self._read("nvmlDeviceGetTemperature", getattr(self._nvml, "NVML_TEMPERATURE_GPU", 0))
        )
        bits = self._read("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # the name in older drivers and libraries
            bits = self._read("nvmlDeviceGetCurrentClocksThrottleReasons")
        into.slowdown_bits.append(bits)

    def sm_clock_mhz(self) -> float | None:
        """Read the SM clock."""
        return self._clock("Clock", "SM")

    def watts(self) -> float | None:
        """Read the power that the GPU draws."""
        return _thousandth(self._read("nvmlDeviceGetPowerUsage"))

    def processes(self) -> dict[int, int | None] | None:
        """Read the GPU memory in bytes by process id (the driver's ids, not a container's)."""
        found = self._read("nvmlDeviceGetComputeRunningProcesses")
        return None if found is None else {int(p.pid): p.usedGpuMemory for p in found}

    def graphics_processes(self) -> set[int] | None:
        """Read the ids of processes that draw on the GPU, such as a desktop."""
        found = self._read("nvmlDeviceGetGraphicsRunningProcesses")
        return None if found is None else {int(p.pid) for p in found}

    def used_bytes(self) -> int | None:
        """Read the memory in use on the whole GPU, in bytes."""
        memory = self._read("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.used)

    def energy_joules(self) -> float | None:
        """Read the GPU's energy counter, in joules."""
        return _thousandth(self._read("nvmlDeviceGetTotalEnergyConsumption"))

    def _clock(self, which: str, kind: str) -> int | None:
        domain = getattr(self._nvml, f"NVML_CLOCK_{kind}", None)
        return None if domain is None else self._read(f"nvmlDeviceGet{which}Info", domain)

    def _read(self, name: str, *arguments: Any, device: bool = True) -> Any:
        function = getattr(self._nvml, name, None)
        if self._handle is None or function is None:
            return None
        try:
            return function(self._handle, *arguments) if device else function(*arguments)
        except Exception:  # any NVMLError: not supported, no permission, GPU lost
            return None


class Sampler:
    """Context manager that reads a GPU in a thread; `log` returns the readings.

    Create it before CUDA starts in this process: all processes on the GPU until then are foreign.
    During the measurement one more process is expected, whatever id a container gives it.
    """

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.facts = gpu.facts()
        self.samples = GpuSamples()
        self._graphics = gpu.graphics_processes()
        self._before = gpu.processes()
        self._most = len(self._foreign(self._before)) if self._before is not None else None
        self._end = threading.Event()

    def __enter__(self) -> Sampler:
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def log(self, out_of_memory: bool = False) -> GpuLog | None:
        """Return all readings; None without a GPU.

        With `out_of_memory` it looks at the GPU once more: who holds its memory now?
        """
        if not self.gpu.there:
            return None
        if out_of_memory:
            self._look()
        return GpuLog(
            facts=self.facts,
            samples=self.samples,
            foreign_processes=self._most,
            graphics_processes=None if self._graphics is None else len(self._graphics),
            used_bytes=self.gpu.used_bytes() if out_of_memory else None,
        )

    def _run(self) -> None:
        while True:
            self.gpu.sample(self.samples, time.monotonic() - self._begun)
            self._look()
            if self._end.wait(_INTERVAL_SECONDS):
                return

    def _look(self) -> None:
        """Count the other processes."""
        now = self.gpu.processes()
        if now is not None:
            self._most = max(self._most or 0, len(self._foreign(now)))

    def _foreign(self, processes: dict[int, int | None]) -> set[int]:
        """Return the ids of processes other than this one."""
        if os.getpid() in processes:
            return set(processes) - {os.getpid()}
        old = set(processes) & set(self._before or ())
        new = set(processes) - set(self._before or ())
        return old | set(sorted(new)[1:])  # in a container, one of the new ids is this process


def _library() -> ModuleType | None:
    try:
        import pynvml
    except Exception:  # missing or broken
        return None
    return pynvml


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def _thousandth(value: Any) -> float | None:
    """Convert milliwatts to watts, or millijoules to joules."""
    return None if value is None else float(value) / 1000
