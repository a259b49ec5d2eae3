"""Weights in half precision beside the records: for pictures in a clone without checkpoints."""

import re

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from ifc_bench.data.loading import VideoDataset
from ifc_bench.errors import UserError
from ifc_bench.inference import load_model
from ifc_bench.provenance import provenance
from ifc_bench.records import Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.training.checkpoint import finished_weights, kept_model, trained_model
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.kept_weights import read_kept, write_kept
from ifc_bench.training.trainer import Trainer
from tests.conftest import one_line_error, run_cli
from tests.training.test_trainer import work


@pytest.fixture(scope="module")
def trained(data_folder, tmp_path_factory):
    """A training run, and its checkpoint."""
    path = tmp_path_factory.mktemp("kept") / "x.pt"
    data = VideoDataset(data_folder / "train", cached_frames=1000)
    Trainer(work(), data, path, "cpu", Hooks()).run()
    return work(), path


@pytest.fixture
def kept(trained, tmp_path):
    training, checkpoint = trained
    path = tmp_path / "weights" / "x.safetensors"
    write_kept(path, training, finished_weights(checkpoint, training))
    return path


def test_weights_are_rounded_to_half_precision_and_nothing_else(trained, kept):
    training, checkpoint = trained
    exact, found = finished_weights(checkpoint, training), read_kept(kept, training)
    assert found.keys() == exact.keys()
    for key, value in exact.items():
        wanted = value.half().float() if value.is_floating_point() else value
        assert torch.equal(found[key], wanted), key
    assert kept.stat().st_size < 0.55 * sum(v.numel() * 4 for v in exact.values()) + 20_000


def test_the_network_answers_nearly_as_before(trained, kept):
    training, checkpoint = trained
    clip = torch.randint(0, 256, (1, 3, 3, 32, 48), dtype=torch.uint8)
    with torch.inference_mode():
        exact = trained_model(checkpoint, training, "cpu")(clip)
        rounded = kept_model(kept, training, "cpu")(clip)
    spread = exact.mask_logits.std()
    assert 0 < (exact.mask_logits - rounded.mask_logits).abs().max() < 0.05 * spread


def test_load_model_takes_them_where_there_is_no_checkpoint(trained, tmp_path):
    training, checkpoint = trained
    store = Store(tmp_path / "results", tmp_path / "runs")
    result = TrainingResult(
        loss=[1.0], loss_parts={}, accuracy_curve=[], parameters=1, wall_seconds=1.0
    )
    store.save(Record.of(training, provenance("cpu", 1), result))
    with pytest.raises(UserError, match="no such checkpoint"):
        load_model(store, training.id)
    weights = finished_weights(checkpoint, training)
    write_kept(store.kept_path(training), training, weights)
    key = "decoder.query_positions"
    assert torch.equal(
        load_model(store, training.id).state_dict()[key], weights[key].half().float()
    )
    store.checkpoint_path(training).parent.mkdir(parents=True)
    store.checkpoint_path(training).write_bytes(checkpoint.read_bytes())
    assert torch.equal(load_model(store, training.id).state_dict()[key], weights[key])


def changed(path):
    """Write the file with one weight changed, and its metadata as it was."""
    tensors = load_file(path)
    tensors["decoder.query_positions"][0, 0] += 1
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        told = file.metadata()
    save_file(tensors, path, told)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not readable weights"),
        (lambda path: path.write_bytes(b"no weights"), "not readable weights"),
        (lambda path: path.unlink(), "not readable weights|no such file|No such file"),
        (changed, "sha256: the weights are not those that were written"),
        (lambda path: save_file(load(path.read_bytes()), path), "training: is 'None', expected"),
    ],
    ids=["cut", "text", "gone", "changed", "unnamed"],
)
def test_what_is_not_whole_is_refused_in_one_line(trained, kept, harm, message):
    harm(kept)
    with pytest.raises((UserError, OSError), match=message) as refused:
        read_kept(kept, trained[0])
    assert "\n" not in str(refused.value)


def test_of_another_training_they_are_refused(kept):
    with pytest.raises(UserError, match=re.escape(f"expected {work(seed=1).id}")):
        read_kept(kept, work(seed=1))


def test_the_command(tmp_path):
    where = (f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}", "--preset=smoke")
    refused = run_cli("keep", "table3d", *where)
    assert "has no checkpoint of these tables; run them first" in one_line_error(refused)
    assert not (tmp_path / "r").exists()
    done = run_cli("run", "table3d", *where, "--seeds=1", "--window=5")
    assert done.returncode == 0, done.stderr
    done = run_cli("keep", "table3d", *where, "--seeds=1")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "r" / "weights").glob("*.safetensors"))) == 2
    print(done.stdout)
    assert all(f" {kind}" in done.stdout for kind in ("ifc M=8", "ifc M=8 unified"))
    done = run_cli("keep", "table3d", *where, "--seeds=2")
    assert "2 of 4 trainings were not written" in done.stdout
    done = run_cli("keep", "table3d", *where, "--seeds=1", f"--released={tmp_path / 'theirs'}")
    assert done.stderr.count("the released code has a ResNet, not the backbone small") == 2
    assert not (tmp_path / "theirs").exists()
