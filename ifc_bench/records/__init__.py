"""Stored results: one immutable record for each piece of work."""

from ifc_bench.records.evaluation import (
    Detections,
    EvaluationResult,
    IdentityOracle,
    MarkedTruths,
    StratumResult,
    Truths,
)
from ifc_bench.records.origin import Device, Provenance
from ifc_bench.records.record import (
    REPEATED,
    SCHEMA_VERSION,
    CountResult,
    FootprintResult,
    ProfileResult,
    Record,
    Result,
    ScopeCost,
    Status,
    TrainingResult,
    plain,
)
from ifc_bench.records.samples import (
    Energy,
    GpuFacts,
    GpuLog,
    GpuSamples,
    Memory,
    ProcessSamples,
    Rates,
    Timed,
)

__all__ = [
    "REPEATED",
    "SCHEMA_VERSION",
    "CountResult",
    "Detections",
    "Device",
    "Energy",
    "EvaluationResult",
    "FootprintResult",
    "GpuFacts",
    "GpuLog",
    "GpuSamples",
    "IdentityOracle",
    "MarkedTruths",
    "Memory",
    "ProcessSamples",
    "ProfileResult",
    "Provenance",
    "Rates",
    "Record",
    "Result",
    "ScopeCost",
    "Status",
    "StratumResult",
    "Timed",
    "TrainingResult",
    "Truths",
    "plain",
]
