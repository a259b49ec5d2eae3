"""Arithmetic that a device does not have is refused, not measured under its name."""

import pytest

from ifc_bench.errors import UserError
from ifc_bench.hardware.precision import require_precision
from ifc_bench.records import Device


def gpu(capability):
    return Device(kind="cuda", name="a GPU", compute_capability=capability)


@pytest.mark.parametrize(
    ("precision", "capability"),
    [("bf16", "7.5"), ("tf32", "7.0"), ("bf16", "7.0"), ("tf32", "6.1"), ("fp16", "5.2")],
)
def test_it_is_refused_below_its_compute_capability(precision, capability):
    with pytest.raises(UserError, match=rf"{precision} does not exist on a GPU.*{capability}.*use"):
        require_precision(precision, gpu(capability))


@pytest.mark.parametrize(
    ("precision", "capability"),
    [("fp32", "3.5"), ("fp16", "7.5"), ("bf16", "8.0"), ("tf32", "9.0"), ("bf16", "10.0"),
     ("bf16", None)],
)  # fmt: skip
def test_the_rest_is_measured(precision, capability):
    require_precision(precision, gpu(capability))


def test_a_cpu_has_no_tf32():
    with pytest.raises(UserError, match="on a CPU use fp32"):
        require_precision("tf32", Device(kind="cpu", name="a CPU"))
    require_precision("bf16", Device(kind="cpu", name="a CPU"))


def test_the_option_that_chose_it_is_named():
    for device in (gpu("7.5"), Device(kind="cpu", name="a CPU")):
        with pytest.raises(UserError, match=r"^--test-precision: tf32 "):
            require_precision("tf32", device, "--test-precision")
