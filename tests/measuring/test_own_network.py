"""A network of the user's own: measured like the others, counted, and refused in one line."""

import re

import pytest
import torch

from ifc_bench.config import (
    Count,
    NoComm,
    NoiseFrames,
    Profile,
    Protocol,
    RandomWeights,
)
from ifc_bench.errors import UserError
from ifc_bench.measuring.counts import counted
from ifc_bench.measuring.ends import ToMasks
from ifc_bench.measuring.isolation import in_process
from ifc_bench.measuring.memory import network_bytes
from ifc_bench.measuring.own_network import build_own, lay_out
from ifc_bench.measuring.process import Measured, measure_once
from ifc_bench.measuring.speed import fingerprint
from ifc_bench.measuring.subject import make_subject
from ifc_bench.models import own
from ifc_bench.models.own_network import load_factory, own_network
from ifc_bench.provenance import provenance
from ifc_bench.records import CountResult, ProfileResult, Record
from ifc_bench.report.own_networks import own_lines
from ifc_bench.report.published import like_the_papers
from ifc_bench.report.roofline import has_scope_times
from ifc_bench.report.speeds import row_of
from ifc_bench.store import Store
from ifc_bench.tracking.watch import unwatched
from tests.conftest import ROOT, tiny_model

TINY, MASK_RCNN, VIDEOMT = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "your_network.md").read_text("utf-8"), re.DOTALL
)
SCOPED = (
    TINY
    + """
    def scope_modules(self):
        return {"backbone": [self.body], "mask_head": [self.masks, self.classes]}
"""
)
QUICK = Protocol(
    processes=1, min_passes=1, min_seconds=0.01, max_seconds=0.01, warm_up_seconds=0.01
)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "results", tmp_path / "runs")


def profile(source: str, **changes: object) -> Profile:
    made = Profile(
        weights=own_network(source, instances=3),
        footage=NoiseFrames(frames=4, height=32, width=48),
        window=2,
        device="this one",
        protocol=QUICK,
    )
    return made.model_copy(update=changes)


def subject_of(source: str, store: Store, **changes: object):
    return make_subject(profile(source, **changes), store, "cpu")


def test_it_is_measured_like_the_others(write, store):
    work = profile(write(SCOPED) + "Tiny")
    answer = measure_once(work, store, "cpu", 0)
    assert isinstance(answer, Measured)
    samples = answer.samples
    assert samples.network is not None
    assert samples.masks is not None
    for timed in (samples.network, samples.masks, samples.results):
        assert timed.wall_seconds
        assert min(timed.wall_seconds) > 0
    scopes = {"backbone", "mask_head", "tracker", "output", "run_lengths", "other"}
    assert set(samples.scope_seconds or {}) == scopes
    assert samples.memory.weights_bytes == network_bytes(build_own(work.weights, 32, 48))
    assert samples.memory.scope_increase_bytes["backbone"] > 0
    assert samples.memory.peak_allocated_bytes > samples.memory.weights_bytes


def test_its_row_says_what_it_is(write, store):
    work = profile(write(TINY) + "Tiny")
    answer = measure_once(work, store, "cpu", 0)
    assert isinstance(answer, Measured)
    assert not {"backbone", "mask_head"} & set(answer.samples.scope_seconds or {})
    result = ProfileResult(frames=answer.frames, processes=[answer.samples])
    record = Record.of(work, provenance("cpu", 1), result)
    store.save(record)
    row = row_of(next(iter(store.records("profile"))))
    told = {key: row[key] for key in ("variant", "communication", "attention", "form", "weights")}
    assert told == {
        "variant": "Tiny", "communication": "a_network:Tiny", "attention": "own",
        "form": "whole clip", "weights": "own",
    }  # fmt: skip
    assert row["network_fps"] > 0
    assert row["backbone_ms"] is None
    assert row["other_ms"] > 0
    assert not like_the_papers(record)
    assert not has_scope_times(record), "rooflines are of the built-in parts"


OTHER = TINY.replace("nn.Conv2d(16, 5, 1)", "nn.Conv2d(16, 7, 1)").replace("5 * 41", "7 * 41")
OTHER = OTHER.replace("view(5, 41)", "view(7, 41)")


def test_tracker_and_output_are_given_the_same_as_a_built_in_network(write, store):
    """Where the grids are the same."""
    model = tiny_model(NoComm(), classes=40, mask_stride=4)
    built_in = profile(write(TINY) + "Tiny", weights=RandomWeights(model=model, instances=3))
    found = {fingerprint(make_subject(built_in, store, "cpu"))}
    for name, code in (("a_network_1", TINY), ("a_network_2", OTHER)):
        code = code.replace("8, stride=8", "4, stride=4")
        found.add(fingerprint(subject_of(write(code, name) + "Tiny", store)))
    assert len(found) == 1
    assert fingerprint(subject_of(write(TINY, "a_network_3") + "Tiny", store)) not in found


@pytest.mark.parametrize(("window", "stride", "clips"), [(2, 1, 3), (2, 2, 2), (1, 1, 4)])
def test_the_whole_clip_passes_in_every_window(write, store, window, stride, clips):
    subject = subject_of(write(TINY) + "Tiny", store, window=window, stride=stride)
    seen: list[torch.Size] = []
    subject.network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    subject.run(0, ToMasks(), unwatched)
    assert seen == [torch.Size([window, 3, 32, 48])] * clips


def test_a_factory_may_ask_for_the_size_and_weights_are_the_same_each_time(write):
    sized = (
        "def sized(frame_size):\n    made = Tiny()\n    made.asked = frame_size\n    return made\n"
    )
    source = write(f"{TINY}\n\n{sized}")
    first, second = (build_own(own_network(source + "sized"), 32, 48) for _ in range(2))
    assert first.asked == (32, 48)
    assert not first.training
    assert torch.equal(first.body.weight, second.body.weight)


def test_a_compiled_network_is_not_watched(write, store, monkeypatch):
    compiled: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    subject = subject_of(write(SCOPED) + "Tiny", store, compiled=True)
    assert compiled == [subject.network]
    assert not subject.watchable


def test_channels_last_leaves_volumes_alone():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 2), torch.nn.Conv2d(3, 4, 2))
    lay_out(network, True)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.is_contiguous()


def test_other_code_is_other_work(write):
    source = write(TINY) + "Tiny"
    before = profile(source)
    assert profile(source).id == before.id
    write(TINY + "\n# changed\n")
    after = profile(source)
    assert after.id != before.id
    assert after.clip_count.id != before.clip_count.id
    with pytest.raises(UserError, match="has changed since this work was defined"):
        load_factory(before.weights)


def test_the_count_does_not_depend_on_the_instances(write):
    source = write(TINY) + "Tiny"
    few, many = own_network(source, 3), own_network(source, 9)
    assert profile(source, weights=few).clip_count == profile(source, weights=many).clip_count


def test_what_a_record_names_is_not_imported(write, monkeypatch, tmp_path):
    mark = "\nfrom pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
    named = own_network(write(TINY + mark) + "Tiny")
    monkeypatch.setattr(own, "_NAMED", set())
    with pytest.raises(UserError, match="imported only if you name it: --model a_network:Tiny"):
        build_own(named, 32, 48)
    assert not (tmp_path / "a_network.ran").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere_to_be_found:Tiny", "--model: Python finds no module 'nowhere_to_be_found'"),
        ("a_network", "--model: 'a_network' is not a package.module:factory"),
        ("a_network:Tine", "--model: the module a_network has no factory Tine; it has: Tiny, made"),
    ],
)
def test_a_bad_name_is_told(write, source, message):
    write(TINY + "\n\ndef made():\n    return Tiny()\n")
    with pytest.raises(UserError, match=re.escape(message)):
        own_network(source)


LAST = "        return scores, self.masks(maps).transpose(0, 1)"
FAULTS = {
    "not a module": ("def Tiny():\n    return 3\n", "returns a int; return a torch.nn.Module"),
    "not callable": ("Tiny = 3\n", "is no function or class"),
    "factory": (
        "def Tiny():\n    raise ValueError('no\\nweights')\n",
        "a_network.py:2, in Tiny: ValueError: no weights",
    ),
    "import": ("import absent_module\nTiny = 1\n", "a_network.py:1, in <module>: ModuleNotFound"),
    "exit": ("import sys\nsys.exit(1)\nTiny = 1\n", "a_network.py:2, in <module>: SystemExit"),
    "forward": (TINY.replace(LAST, "        raise KeyError('masks')"), "in forward: KeyError"),
    "one": (
        TINY.replace(LAST, "        return scores"),
        "returns a Tensor that is not two tensors",
    ),
    "three": (
        TINY.replace(LAST, "        return scores, maps, maps"),
        "returns 3 tensors, not two",
    ),
    "rank": (
        TINY.replace(LAST, "        return scores, maps[0]"),
        "class_probabilities [5, 41], mask_logits [16, 4, 6]; return (class_probabilities [I, K",
    ),
    "frames": (
        TINY.replace(".transpose(0, 1)", "[:1].transpose(0, 1)"),
        "mask_logits [5, 1, 4, 6] for a clip of T = 2 frames",
    ),
    "instances": (TINY.replace("scores, ", "scores[:3], "), "of different numbers of instances I"),
    "type": (TINY.replace("scores, ", "scores.long(), "), "class_probabilities has type int64"),
    "scope": (SCOPED.replace('"backbone"', '"trunk"'), "scope_modules has 'trunk'; the names are"),
    "scope of what": (SCOPED.replace("[self.body]", "[3]"), "'backbone' what is no module"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_network_that_does_not_keep_to_the_protocol_is_refused(name, write, store):
    code, message = FAULTS[name]
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        subject_of(write(code) + "Tiny", store)
    assert str(refused.value).startswith("--model: ")
    assert "a_network:Tiny" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_lack_of_memory_is_no_fault_of_the_protocol(write, store):
    code = TINY.replace(LAST, "        raise MemoryError")
    with pytest.raises(MemoryError):
        subject_of(write(code) + "Tiny", store)


def count(source: str, frames: int = 2, size: tuple[int, int] = (32, 48)):
    model = own_network(source)
    height, width = size
    return counted(Count(model=model, frames=frames, height=height, width=width, scopes=True))


def test_its_parts_are_counted(write):
    scopes = count(write(SCOPED) + "Tiny").scopes
    assert scopes is not None
    cells = 2 * 4 * 6
    assert scopes["backbone"].macs == cells * 16 * 3 * 8 * 8
    assert scopes["mask_head"].macs == cells * 16 * 5 + 16 * 5 * 41
    assert scopes["mask_head"].parameters == 16 * 5 + 5 + (16 + 1) * 5 * 41
    assert (scopes["other"].macs, scopes["other"].parameters) == (0, 0)
    whole = count(write(TINY, "a_network_whole") + "Tiny").scopes
    assert whole is not None
    assert list(whole) == ["other"]
    assert whole["other"].macs == sum(scope.macs for scope in scopes.values())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("maps = maps.erf()", "no MACs are defined for aten::erf"),
        ("maps = maps * maps.max().item()", "no MACs are defined for aten::max"),
        ("maps = maps * len(maps.nonzero())", "aten::nonzero cannot run without the values"),
        ("maps = undefined_name", "NameError: name 'undefined_name' is not defined"),
    ],
)
def test_the_reason_for_no_count_is_told(write, body, reason):
    code = TINY.replace("        scores =", f"        {body}\n        scores =")
    result = count(write(code) + "Tiny")
    assert result.scopes is None
    assert result.encoder_macs is None
    assert reason in (result.not_counted or "")


def test_mask_rcnn_frame_by_frame(write, store):
    """With few proposals, to be quick."""
    few = "box_detections_per_img=10, rpn_post_nms_top_n_test=10"
    source = write(MASK_RCNN.replace("box_detections_per_img=10", few)) + "MaskRCNN"
    work = profile(source, window=1, footage=NoiseFrames(frames=2, height=32, width=48))
    answer = measure_once(work, store, "cpu", 0)
    assert isinstance(answer, Measured)
    assert answer.samples.masks is not None
    assert answer.samples.memory.weights_bytes > 150e6, "44 M parameters"
    network = build_own(own_network(source), 32, 48)
    clip = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    with torch.inference_mode():
        probabilities, masks = network(clip)
    assert masks.shape == (10, 2, 32, 48)
    assert (masks > -10).any((2, 3)).all(), "ten detections in every frame"
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(10))
    assert count(source).not_counted == "aten::nonzero cannot run without the values of its tensors"


def test_videomt_of_transformers(write, store):
    pytest.importorskip("transformers", reason="pip install ifc-bench[networks] adds VidEoMT")
    source = write(VIDEOMT) + "VidEoMT"
    answer = measure_once(profile(source), store, "cpu", 0)
    assert isinstance(answer, Measured)
    assert answer.samples.network is not None
    scopes = count(source).scopes
    assert scopes is not None
    # The patches' projection and the layers' products; normalisations and the head besides.
    tokens, width = 36 + 5, 64
    image = 36 * width * 3 * 16 * 16 + 2 * tokens * (12 * width * width + 2 * tokens * width)
    query = 2 * (tokens + 20) * (12 * width * width + 2 * (tokens + 20) * width)
    least = 2 * (image + query)
    assert least < scopes["other"].macs < 2 * least


def _rows(work: Profile, store: Store) -> object:
    return type(measure_once(work, store, "cpu", 0)).__name__


def test_a_spawned_process_may_import_what_was_named_here(write, store):
    assert in_process(_rows, profile(write(TINY) + "Tiny"), store) == "Measured"


def test_the_head_of_the_table_says_why_macs_are_missing(write, store):
    work = profile(write(TINY) + "Tiny", window=1)
    record = Record.of(work, provenance("cpu", 1), status="failed")
    missing = CountResult(encoder_macs=None, not_counted="aten::nonzero cannot run")
    _, line = own_lines([record], lambda _: missing)
    assert line == "MACs of Tiny, clip of 1 frame of 32x48: not counted: aten::nonzero cannot run"
    assert own_lines([], lambda _: missing) == []
