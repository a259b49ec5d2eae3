"""The real recipe, small: ImageNet or a released checkpoint, images first, then videos."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision

from ablations import PRESETS, TABLES
from ifc_bench.cli.sources import with_data, with_start
from ifc_bench.config import FolderData, FullTHW, ImageNet, NoComm, ResNetBackbone, Training
from ifc_bench.data.json_files import read_json
from ifc_bench.errors import UserError
from ifc_bench.file_io import file_hash
from ifc_bench.models.build import build_model
from ifc_bench.recipe import Row, Stage, varied
from ifc_bench.records import Device, EvaluationResult, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.plan import depth, make_plan
from ifc_bench.sweep.tasks import stages
from ifc_bench.sweep.worker import Worker
from ifc_bench.training.first_weights import fetched_file, start_model
from ifc_bench.training.weights_file import adopt_weights
from tests.conftest import one_line_error, run_cli, run_process
from tests.released import released_checkpoint

CPU = Device(kind="cpu", name="cpu", threads=1)


@pytest.fixture
def root(data_folder, tmp_path) -> Path:
    """A folder as users have it: YouTube-VIS 2019 without public validation, and COCO."""
    root = tmp_path / "datasets"
    train = root / "ytvis_2019" / "train"
    shutil.copytree(data_folder / "train" / "JPEGImages", train / "JPEGImages")
    shutil.copy(data_folder / "train" / "instances.json", root / "ytvis_2019" / "train.json")
    for split, source in (("train", "train"), ("val", "valid")):
        content, images = as_coco(data_folder / source)
        (root / "coco" / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "coco" / "annotations" / f"instances_{split}2017.json").write_text(
            json.dumps(content)
        )
        shutil.copytree(images, root / "coco" / f"{split}2017")
    return root


def as_coco(folder: Path) -> tuple[dict, Path]:
    """The first frame of every video as an image, its boxes as polygons."""
    content = read_json(folder / "instances.json")
    images = [
        {"id": v["id"], "file_name": v["file_names"][0], "height": 32, "width": 48}
        for v in content["videos"]
    ]
    annotations = []
    for a in content["annotations"]:
        if a["bboxes"][0]:
            x, y, w, h = a["bboxes"][0]
            corners = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                {
                    "id": a["id"],
                    "image_id": a["video_id"],
                    "category_id": a["category_id"],
                    "segmentation": [corners],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    found = {"images": images, "categories": content["categories"], "annotations": annotations}
    return found, folder / "JPEGImages"


def stores(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", tmp_path / "runs")


def shrunk(name: str):
    """The preset `name` with a small network and two iterations, its recipe otherwise untouched."""
    preset = PRESETS[name]
    small = {"width": 32, "heads": 2, "feedforward": 32, "queries": 6, "norm_groups": 4}
    quick = {"clips": 2, "iterations": 2, "drop_at": (1,), "sizes": (32, 48)}
    return preset.model_copy(
        update={
            "model": preset.model.model_copy(
                update={**small, "backbone": ResNetBackbone(depth=18, frozen_stages=2)}
            ),
            "video": shorter(preset.video, quick),
            "image": shorter(preset.image, {**quick, "crop": (24, 40)}),
            "seeds": 1,
            "windows": (5, 20),
            "profile_videos": 1,
        }
    )


def shorter(stage: Stage, schedule: dict[str, object]) -> Stage:
    """Frames of 32 pixels at testing, and iterations that no data sets."""
    return varied(stage, {"epochs": None}).with_changes(schedule, {"size": 32})


@pytest.fixture
def _imagenet_at_hand(tmp_path, monkeypatch):
    """torch's cache with a ResNet-18 where torchvision would have put it, named by its hash."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), folder / "new.pth")
    name = f"resnet18-{file_hash(folder / 'new.pth')[:8]}.pth"
    (folder / "new.pth").rename(folder / name)
    known = SimpleNamespace(url=f"https://nowhere.invalid/{name}")
    monkeypatch.setattr("torchvision.models.get_weight", lambda _: known)


@pytest.fixture
def offered(tmp_path) -> tuple[str, bytes]:
    """A file at a URL, named by its hash, and what is in it."""
    content = bytes(range(256)) * 100
    path = tmp_path / "offered" / f"resnet50-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.parent.mkdir()
    path.write_bytes(content)
    return path.as_uri(), content


def test_weights_are_fetched_once_and_held_against_their_name(offered, tmp_path, monkeypatch):
    url, content = offered
    path = fetched_file(url, tmp_path / "cache")
    assert path == tmp_path / "cache" / url.rpartition("/")[2]
    assert path.read_bytes() == content
    monkeypatch.setattr("torch.hub.download_url_to_file", None)
    assert fetched_file(url, tmp_path / "cache") == path, "from the cache"
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(
        UserError, match=r"its SHA-256 begins with .*delete it to download it again"
    ) as e:
        fetched_file(url, tmp_path / "cache")
    assert str(e.value).startswith(f"{path}: ")


def test_another_file_under_the_name_is_not_kept(offered, tmp_path):
    url, content = offered
    Path(url.removeprefix("file://")).write_bytes(content + b"more")
    with pytest.raises(UserError, match="gives another: invalid hash value") as caught:
        fetched_file(url, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetched_file(f"{tmp_path.as_uri()}/none-00000000.pth", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("name", ["paper", "paper-short"])
@pytest.mark.usefixtures("_imagenet_at_hand")
def test_images_first_then_videos_then_evaluation(name, root, tmp_path, monkeypatch):
    monkeypatch.setattr("ifc_bench.sweep.train.loaders", lambda given: 0)
    store = stores(tmp_path)
    preset = with_data(shrunk(name), root, None, store)
    plan = make_plan([TABLES["table3a"](preset)], preset, CPU)
    assert sorted(depth(t) for t in plan.trainings) == [0] * 3 + [1] * 4
    worker = Worker(store, "cpu", 1, lambda *_: None)
    for stage in stages(plan, store):
        for task in stage():
            if not isinstance(task, tuple):
                records = worker.job(task)
                assert [r.status for r in records] == ["ok"] * len(records), records[0].error
    records = {r.id: r for r in store.records("training")}
    for training in plan.trainings:
        result = records[training.id].result
        assert isinstance(result, TrainingResult)
        if depth(training):
            assert isinstance(training.data, FolderData)
            assert training.data.name == "youtube-vis-2019-held-out"
            expected = ["heads.classify"] if preset.image.classes != 3 else []
            assert [k for k in result.new_parameters if "temporal" not in k] == expected
        else:
            assert isinstance(training.start, ImageNet)
            assert not any(k.startswith("backbone") for k in result.new_parameters)
            assert training.optimisation.clip_frames == 1
    scored = [r for r in store.records("evaluation") if isinstance(r.result, EvaluationResult)]
    assert len(scored) == 8
    assert not plan.jobs(store)


@pytest.mark.usefixtures("_imagenet_at_hand")
def test_epochs_become_iterations_of_the_data_at_hand(root, tmp_path):
    preset = with_data(PRESETS["paper"], root, None, stores(tmp_path))
    frames = 4 * 12  # of the five training videos one is held out
    assert preset.video.optimisation.iterations == 8 * frames // 16
    assert preset.video.optimisation.drop_at == (5 * frames // 16,)
    assert preset.image.optimisation.iterations == round(300 * 5 / 32)
    assert (preset.video.classes, preset.image.classes) == (3, 3)
    assert Row.of(preset, "any").training.model.classes == 3


def test_the_plan_tells_gpu_hours_and_disk(root, tmp_path):
    done = run_cli(
        "plan", "table3a", "--preset=released", f"--data={root}",
        f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trainings: 23, 0 exist" in done.stdout, "three on images, twenty on videos"
    training = (3 * 1_108_800 * 0.2 + 20 * 6_000 * 0.4) / 3600
    told = re.search(r"about (\d+) GPU-hours, (\d+) h on 8 GPUs", done.stdout)
    assert told is not None
    evaluations = 80 * 240 * (12 / 6_000) / 3600  # of the 12 frames that are held out
    one_pass = 20 * 240 * (12 / 6_000)  # over 20 videos of the one
    warm_up, timed = max(2 * one_pass, 3.0), 2 * max(3 * one_pass, 2 * one_pass)
    profile = 10 + warm_up + timed + one_pass + one_pass / 20
    profiles = 16 * 4 * profile / 3600  # four processes each, on one GPU
    assert int(told[2]) == pytest.approx(training + evaluations + profiles, abs=1)
    assert int(told[1]) == pytest.approx(8 * (training + evaluations) + profiles, abs=1)
    size = "4 of training (48 frames), 1 of validation (12 frames)"
    length = "6000 iterations of 16 clips, 24000.0 clips of each"
    assert f"videos: youtube-vis-2019-held-out, {size}; {length}" in done.stdout
    assert "images: coco, " in done.stdout
    assert "not measured" in done.stdout
    assert "GB of disk for 23 checkpoints" in done.stdout


@torch.no_grad()
def test_full_thw_and_no_comm_share_their_training_on_images():
    """For one frame they are the same function of the same weights, with the same first ones."""
    preset, found = PRESETS["paper"], []
    for module in (NoComm(), FullTHW()):
        model = preset.model.model_copy(update={"communication": module})
        found.append(preset.pretraining(model))
        small = model.model_copy(update={"backbone": ResNetBackbone(depth=18), "queries": 5})
        torch.manual_seed(0)
        network = build_model(small).eval()
        clip = torch.arange(3 * 64 * 64).reshape(1, 1, 3, 64, 64).to(torch.uint8)
        found += [network.state_dict(), network(clip).mask_logits]
    assert found[0] == found[3]
    assert list(found[1]) == list(found[4])
    assert all(torch.equal(a, b) for a, b in zip(found[1].values(), found[4].values(), strict=True))
    assert torch.equal(found[2], found[5])


@pytest.mark.parametrize("name", ["quick", "released"])
def test_estimates_of_a_checkpoint_are_near(name, tmp_path):
    preset = PRESETS[name]
    with torch.device("meta"):
        model = build_model(preset.model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    size = 4 * (sum(v.numel() for v in model.state_dict().values()) + 2 * trained)
    assert preset.checkpoint_bytes == pytest.approx(size, rel=0.15)


def test_a_released_checkpoint_takes_the_place_of_the_images(root, tmp_path):
    store = stores(tmp_path)
    path = tmp_path / "ifc.pth"
    torch.save({"model": released_checkpoint()}, path)
    preset = with_start(with_data(PRESETS["released"], root, None, store), path, store)
    rows = TABLES["table3a"](preset).rows
    for row in rows:
        training = row.training
        assert training.start.content == "released"
        model = build_model(training.model)
        new = start_model(model, training, store)
        assert any("heads.classify" in key for key in new)
        name = "communication.spatial.0.attention.in_weight"
        released = released_checkpoint()
        theirs = "detr.transformer.encoder.enc_layers.0.self_attn.in_proj_weight"
        assert torch.equal(model.state_dict()[name], released[theirs])
    plan = make_plan([TABLES["table3a"](preset)], preset, CPU)
    assert {depth(t) for t in plan.trainings} == {0}


def test_with_a_released_checkpoint_coco_is_not_needed(root, tmp_path):
    shutil.rmtree(root / "coco")
    torch.save({"model": released_checkpoint()}, tmp_path / "ifc.pth")
    options = [f"--data={root}", f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}"]
    without = run_cli("plan", "table3a", "--preset=released", *options)
    assert "has no coco" in one_line_error(without)
    started = [f"--weights={tmp_path / 'ifc.pth'}", *options]
    done = run_cli("plan", "table3a", "--preset=released", *started)
    assert done.returncode == 0, done.stderr
    assert "trainings: 20, 0 exist" in done.stdout


def test_weights_that_are_not_there_are_one_line(root, tmp_path, monkeypatch):
    store = stores(tmp_path)
    options = [f"--data={root}", f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}"]
    bad = run_cli("plan", "table3a", "--preset=paper", *options, "--weights=none.pth")
    assert "--weights: none.pth: no such file" in one_line_error(bad)
    preset = with_data(shrunk("released"), root, None, store)
    training = preset.pretraining(preset.model)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(UserError, match="put the file there, or give ImageNet weights"):
        start_model(build_model(training.model), training, store)
    small = preset.model_copy(update={"model": PRESETS["quick"].model})
    wrong = small.pretraining(small.model)
    with pytest.raises(UserError, match=r"need a ResNet, model\.backbone is small"):
        start_model(build_model(wrong.model), wrong, store)


def test_a_start_that_is_not_finished_is_refused(root, tmp_path):
    store = stores(tmp_path)
    preset = with_data(shrunk("released"), root, None, store)
    training = TABLES["table3a"](preset).rows[0].training
    assert isinstance(training.start, Training)
    with pytest.raises(UserError, match=f"run the training {training.start.id} first"):
        start_model(build_model(training.model), training, store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset=paper"], "--data: preset paper needs the directory of youtube-vis-2019"),
        (["--preset=quick", "--dataset=ovis"], "--data: preset quick needs the directory"),
        (["--preset=paper", "--data=nowhere"], "--data: nowhere has no youtube-vis-2019"),
        (["--dataset=imagenet", "--data=."], "--dataset: 'imagenet' is none of youtube-vis-2019"),
    ],
)
def test_data_that_is_not_there_is_one_line(options, message, tmp_path):
    done = run_cli("plan", "table3a", *options, f"--runs={tmp_path}")
    assert message in one_line_error(done)


def test_any_folder_in_the_format_serves_the_embedded_presets(data_folder, tmp_path):
    options = [f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}", f"--data={data_folder}"]
    done = run_process("run", "table3d", "--preset=smoke", "--seeds=1", "--window=5", *options)
    assert done.returncode == 0, done.stderr
    assert "- data: folder, split " in done.stdout
    again = run_cli("report", "table3d", "--preset=smoke", "--seeds=1", "--window=5", *options)
    assert again.stdout == done.stdout
    hashes = {r.split_hash for r in Store(tmp_path / "r", tmp_path / "x").records("training")}
    assert len(hashes) == 1
    assert np.unique([len(h) for h in hashes]).tolist() == [129]


def test_weights_that_do_not_fit_are_told_by_the_users_own_file(tmp_path):
    """Not by the link that the store keeps."""
    torch.save({"memory_bus": torch.ones(1)}, tmp_path / "mine.pth")
    store = Store(tmp_path / "r", tmp_path / "u")
    start = adopt_weights(tmp_path / "mine.pth", store)
    preset = PRESETS["smoke"]
    work = TABLES["own"](preset).rows[1].training.model_copy(update={"start": start})
    with pytest.raises(UserError, match=f"{tmp_path / 'mine.pth'}: no entry matches the model"):
        start_model(build_model(work.model), work, store)
