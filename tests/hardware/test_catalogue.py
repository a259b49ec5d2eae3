"""The catalogue of cards: complete, plausible, and clear about what it does not know."""

import pytest

from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import catalogue, gpu_model, same_gpu


def test_the_papers_cards_and_the_common_ones_since_are_there():
    wanted = {"rtx-2080ti", "v100-16gb", "v100-32gb", "v100-pcie-16gb", "v100-pcie-32gb", "t4"}
    wanted |= {"a100-40gb", "a100-80gb", "rtx-3090", "rtx-4090", "a10", "l4", "h100", "h200"}
    assert wanted <= set(catalogue())
    assert all(one.source for one in catalogue().values())


@pytest.mark.parametrize("key", catalogue())
def test_rates_are_in_order(key):
    one = gpu_model(key)
    assert 0.8 * one.memory_gib < one.usable_bytes / 2**30 < one.memory_gib
    assert one.fp32_tflops < (one.fp16_acc32_tflops or 0) <= (one.fp16_acc16_tflops or 1e9)
    capability = float(one.compute_capability)
    assert ("flash" in one.kernels) == (capability >= 8), "flash needs Ampere"
    assert (one.bf16_tflops is not None) == (one.tf32_tflops is not None) == (capability >= 8)
    assert {"materialised", "math", "efficient"} <= set(one.kernels)


def test_multiply_adds_are_half_the_operations():
    assert gpu_model("v100-32gb").macs_per_second("fp32") == pytest.approx(7.85e12)
    assert gpu_model("rtx-2080ti").macs_per_second("fp16") == pytest.approx(26.9e12)
    assert gpu_model("v100-32gb").macs_per_second("bf16") is None


def test_a_card_is_known_by_the_name_people_use():
    assert same_gpu("RTX 2080 Ti", "NVIDIA GeForce RTX 2080 Ti")
    assert same_gpu("V100", "Tesla V100-SXM2-32GB")
    assert same_gpu("rtx2080ti", "NVIDIA GeForce RTX 2080 Ti")
    assert same_gpu("V100 32 GB", "Tesla V100-SXM2-32GB")
    assert same_gpu("AMD EPYC", "AMD EPYC (2 cores), 1 thread")
    assert same_gpu("H100 80GB", "NVIDIA H100", memory_bytes=80 << 30)
    assert not same_gpu("RTX 2080 Ti", "NVIDIA GeForce RTX 2080")
    assert not same_gpu("", "NVIDIA GeForce RTX 2080")
    with pytest.raises(UserError, match="--gpu: 'gtx-1' is none of rtx-2080ti"):
        gpu_model("gtx-1")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("A10", "NVIDIA A100-SXM4-80GB"),
        ("RTX 2080", "NVIDIA GeForce RTX 2080 Ti"),
        ("RTX 4070", "NVIDIA GeForce RTX 4070 SUPER"),
        ("RTX 3080", "NVIDIA GeForce RTX 3080 Laptop GPU"),
        ("L4", "NVIDIA L40S"),
        ("V100 16GB", "Tesla V100-SXM2-32GB"),
        ("V100 32GB", "Tesla V100-PCIE"),
    ],
)
def test_part_of_a_name_is_another_card(asked, name):
    assert not same_gpu(asked, name)
