"""MACs of Table 1 to the printed digit, counted on the real modules."""

import csv
import json

import pytest
import torch
import torch.nn.functional as F

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, ModelConfig, NoComm
from ifc_bench.measuring.counts import model_costs
from ifc_bench.measuring.macs import MacCounter, encoder_macs
from ifc_bench.models.attention import require_kernel
from tests.conftest import ROOT, one_line_error, run_cli

PRINTED = {
    "No Comm": NoComm(),
    "Full THW": FullTHW(),
    "Decomp T-HW": DecompTHW(),
    "IFC (M=8)": InterFrame(memory_tokens=8),
}
with (ROOT / "results" / "paper" / "reference.csv").open() as file:
    TABLE1 = [row for row in csv.DictReader(file) if row["table"] == "1"]


@pytest.mark.parametrize("attention", ["materialised", "math", "flash"])
def test_all_printed_numbers(attention):
    assert len(TABLE1) == 16
    for row in TABLE1:
        model = ModelConfig(communication=PRINTED[row["variant"]], attention=attention)
        height, width = (int(side) for side in row["setting"].split("x"))
        macs = encoder_macs(model, int(row["T"]), height, width)
        assert macs / 1e9 == pytest.approx(float(row["mean"]), abs=0.0051), row


def test_command_prints_a_list_of_objects():
    done = run_cli("flops", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 16
    assert set(rows[0]) == {
        "communication", "memory_tokens", "height", "width", "frames", "macs"
    }  # fmt: skip
    assert {row["communication"] for row in rows} == {"none", "full", "decomposed", "ifc"}
    ifc = next(r for r in rows if (r["communication"], r["frames"], r["height"]) == ("ifc", 5, 360))
    assert ifc["macs"] / 1e9 == pytest.approx(5.52, abs=0.0051)


def test_no_memory_tokens_cost_what_no_comm_costs():
    sizes = (5, 360, 640)
    without = encoder_macs(ModelConfig(communication=InterFrame(memory_tokens=0)), *sizes)
    assert without == encoder_macs(ModelConfig(communication=NoComm()), *sizes)


def test_attention_counts_in_every_kernel():
    q = torch.zeros(1, 2, 6, 4, device="meta")
    k = torch.zeros(1, 2, 10, 4, device="meta")
    with MacCounter() as counter:
        F.scaled_dot_product_attention(q, k, k)
    assert counter.total == 2 * (6 * 10 * 4) * 2


def test_convolutions_count_their_groups():
    x, weight = torch.zeros(1, 8, 5, 5, device="meta"), torch.zeros(8, 1, 3, 3, device="meta")
    with MacCounter() as counter:
        F.conv2d(x, weight, padding=1, groups=8)
    assert counter.total == 8 * 25 * 9


def test_a_transposed_convolution_counts_its_inputs():
    """Every one of 8 x 25 inputs meets 4 channels of a 2x2 kernel."""
    x, weight = torch.zeros(1, 8, 5, 5, device="meta"), torch.zeros(8, 4, 2, 2, device="meta")
    with MacCounter() as counter:
        F.conv_transpose2d(x, weight, stride=2)
    assert counter.total == 8 * 25 * 4 * 4


def test_an_unknown_operation_is_an_error():
    x = torch.zeros(3, 3, device="meta")
    with MacCounter(), pytest.raises(NotImplementedError, match="aten::erf"):
        torch.erf(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "-1"], "--tokens"),
        (["--communication", "gossip"], "'gossip' is none of none, full, decomposed, ifc"),
        (["--frame-size", "big"], "'big' is not HEIGHTxWIDTH"),
        (["--window", "0"], "--window"),
        (["--tokns", "8"], "Unknown option: --tokns"),
        (["--attention", "magic"], "--attention"),
    ],
)
def test_bad_options_get_one_line(arguments, message):
    assert message in one_line_error(run_cli("flops", *arguments))


@pytest.mark.parametrize("kernel", ["materialised", "math", "efficient", "flash"])
def test_the_first_count_of_a_process_counts_no_trial_of_the_kernel(kernel):
    model = ModelConfig(communication=FullTHW(), attention=kernel)

    def macs() -> int:
        require_kernel.cache_clear()
        return sum(cost.macs for cost in model_costs(model, 1, 96, 160).values())

    first = macs()
    model_costs(model, 1, 96, 160)
    again = sum(cost.macs for cost in model_costs(model, 1, 96, 160).values())
    assert first == again
    if kernel in ("materialised", "math"):
        require_kernel.cache_clear()
        assert encoder_macs(model, 5, 96, 160) == encoder_macs(model, 5, 96, 160)
