"""A stand-in for the module `pynvml`: one card that does what a test says."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

MISSING = object()


class FakeNVMLError(Exception):
    """What the real module raises for everything that it cannot tell."""


class FakeNvml(ModuleType):
    """Attributes are what the card answers; MISSING raises as an unsupported query does."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVMLError = FakeNVMLError

    def __init__(self, **answers: Any) -> None:
        super().__init__("pynvml")
        self.name: Any = "NVIDIA GeForce RTX 2080 Ti"
        self.bits: Any = 0
        self.processes: Any = []
        self.watts: Any = 200.0
        self.energy: Any = MISSING
        self.temperature: Any = 60
        self.graphics: Any = []
        self.mig: Any = (0, 0)
        self.ecc: Any = MISSING
        self.limit: Any = 250_000
        self.there = True
        self.__dict__.update(answers)

    def nvmlInit(self) -> None:  # noqa: N802
        """The driver is there."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index or not self.there:
            raise FakeNVMLError("no such GPU")
        return 7

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if uuid != "GPU-1":
            raise FakeNVMLError("no such GPU")
        return 7

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlDeviceGetName": lambda: self.name,
            "nvmlDeviceGetUUID": lambda: "GPU-1",
            "nvmlSystemGetDriverVersion": lambda: "570.1",
            "nvmlDeviceGetCudaComputeCapability": lambda: (7, 5),
            "nvmlDeviceGetMemoryInfo": lambda: SimpleNamespace(total=11 << 30, used=3 << 30),
            "nvmlDeviceGetEccMode": lambda: self.ecc,
            "nvmlDeviceGetMigMode": lambda: self.mig,
            "nvmlDeviceGetPersistenceMode": lambda: 1,
            "nvmlDeviceGetMaxClockInfo": lambda: 2100,
            "nvmlDeviceGetClockInfo": lambda: 1545,
            "nvmlDeviceGetPowerManagementLimit": lambda: self.limit,
            "nvmlDeviceGetPowerManagementDefaultLimit": lambda: 250_000,
            "nvmlDeviceGetDefaultApplicationsClock": lambda: 1350,
            "nvmlDeviceGetPowerUsage": lambda: _times(self.watts, 1000),
            "nvmlDeviceGetTemperature": lambda: self.temperature,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda: self.bits,
            "nvmlDeviceGetComputeRunningProcesses": lambda: self._running(),
            "nvmlDeviceGetGraphicsRunningProcesses": lambda: [
                SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.graphics
            ],
            "nvmlDeviceGetTotalEnergyConsumption": lambda: _times(self.energy, 1000),
        }
        if name not in answers:
            raise AttributeError(name)

        def answer(*_: Any) -> Any:
            value = answers[name]()
            if value is MISSING:
                raise FakeNVMLError("not supported")
            return value

        return answer

    def _running(self) -> Any:
        if self.processes is MISSING:
            return MISSING
        found = self.processes() if callable(self.processes) else self.processes
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in found]


def _times(value: Any, factor: int) -> Any:
    return MISSING if value is MISSING else int(value * factor)
