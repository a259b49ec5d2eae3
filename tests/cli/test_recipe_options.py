"""Options that change a recipe: what they change, the ids, the heads, and torchrun's parser."""

import io
from contextlib import redirect_stderr

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.cli.app import build_app
from ifc_bench.cli.choice import Choice
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sources import with_start
from ifc_bench.config import FolderData, ResNetBackbone, WeightsFile
from ifc_bench.errors import UserError
from ifc_bench.recipe import overridden
from ifc_bench.report.heads import head_lines
from ifc_bench.store import Store
from tests.conftest import run_cli

RECIPES = Recipes(TABLES, PRESETS)


def changed(**options: object):
    return Choice(preset="smoke", **options).resolved(RECIPES)  # type: ignore[arg-type]


SETS = {
    "optimisation.learning_rate=5e-5": lambda p: p.video.optimisation.learning_rate == 5e-5,
    "optimisation.loss.dice=4": lambda p: p.video.optimisation.loss.dice == 4,
    "optimisation.drop_at=[1,2]": lambda p: p.video.optimisation.drop_at == (1, 2),
    "optimisation.crop=[20,30]": lambda p: p.video.optimisation.crop == (20, 30),
    "optimisation.decay=linear": lambda p: p.video.optimisation.decay == "linear",
    "image.optimisation.clips=8": lambda p: p.image.optimisation.clips == 8,
    "testing.stride=3": lambda p: p.video.testing.stride == 3,
    "image.testing.size=64": lambda p: p.image.testing.size == 64,
    "model.queries=7": lambda p: p.model.queries == 7,
}


@pytest.mark.parametrize("text", SETS)
def test_any_field_can_be_set(text):
    preset = overridden(PRESETS["smoke"], [text])
    assert SETS[text](preset)
    assert not SETS[text](PRESETS["smoke"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimisation.learning_rat=1", "no field 'learning_rat'; there are iterations, clips"),
        ("optimisation.clips=0", "Input should be greater than 0"),
        ("optimisation.clips.more=0", "'clips' has no fields"),
        ("model.queries=many", "Input should be a valid integer"),
        ("seeds=4", "is not FIELD=VALUE with a field of model, optimisation, testing"),
        ("model.queries", "is not FIELD=VALUE"),
        ("model.classes=9", "the classes are those of the data"),
        ("optimisation.iterations=9", "use --iterations, which scales them"),
        ("image.optimisation.iterations=9", "use --image-iterations, which scales them"),
        ("optimisation.crop=[30,20]", "the smallest side is larger than the largest"),
        ("optimisation.loss.dice=NaN", "should be a finite number"),
        ("optimisation.learning_rate=inf", "should be a finite number"),
    ],
)
def test_what_cannot_be_set_is_one_line(text, message):
    with pytest.raises(UserError, match="--set: ") as caught:
        overridden(PRESETS["smoke"], [text])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_usual_changes_have_names():
    preset = changed(
        clips=3,
        iterations=8,
        image_iterations=40,
        backbone="resnet101",
        changes=["model.queries=9"],
    )
    assert preset.video.optimisation.clips == 3
    assert (preset.video.optimisation.iterations, preset.video.optimisation.drop_at) == (8, (6,))
    assert (preset.image.optimisation.iterations, preset.image.optimisation.drop_at) == (40, (30,))
    assert preset.model.backbone == ResNetBackbone(depth=101)
    assert preset.changes == ("3 clips of a batch", "resnet101", "model.queries=9")
    assert changed() == PRESETS["smoke"]
    paper = Choice(preset="paper", backbone="resnet101").before_data(PRESETS["paper"])
    assert paper.model.backbone == ResNetBackbone(depth=101, frozen_stages=2)


def test_changes_are_of_the_id_and_in_the_head():
    plain, other = changed(), changed(changes=["optimisation.learning_rate=5e-5"], precision="bf16")
    tables = [TABLES["table3d"](preset) for preset in (plain, other)]
    ids = [{row.training.id for row in table.rows} for table in tables]
    assert not ids[0] & ids[1]
    _, line, *_ = head_lines(tables[1], other, [], [])
    assert "smoke (4 iterations of 2 clips of T=5 in bfloat16; with " in line
    assert "optimisation.learning_rate=5e-5)" in line


def test_epochs_are_of_the_videos_and_clips_that_were_given(data_folder, tmp_path):
    places = {"results": tmp_path / "r", "runs": tmp_path / "x", "data": data_folder}
    preset = changed(epochs=(6, 4), clips=3, **places)
    frames = preset.video.size.train_frames
    assert preset.video.optimisation.iterations == round(6 * frames / 3)
    assert preset.video.optimisation.drop_at == (round(4 * frames / 3),)
    sets = ["optimisation.iterations=77", "optimisation.drop_at=[50]"]
    longer = changed(epochs=(6, 4), changes=sets, **places)
    assert longer.video.optimisation.iterations == 77
    assert longer.video.optimisation.drop_at == (50,)
    with pytest.raises(UserError, match="--epochs: an epoch is of your own videos"):
        changed(epochs=(6, 4))
    with pytest.raises(UserError, match="--epochs, --iterations: give one of the two"):
        changed(epochs=(6, 4), iterations=9, **places)
    with pytest.raises(UserError, match="would drop after 8 epochs of 5"):
        changed(epochs=(5, 8), **places)


def test_weights_are_held_against_the_backbone_that_was_asked_for(tmp_path):
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "r50.pth")
    places = {"results": tmp_path / "r", "runs": tmp_path / "x", "weights": tmp_path / "r50.pth"}
    with pytest.raises(UserError, match="the backbone of preset smoke is small"):
        changed(**places)
    assert changed(backbone="resnet50", **places).start.content == "imagenet"


def started(tmp_path, name="youtube-vis-2019-held-out"):
    torch.save({"model": {"memory_bus": torch.zeros(1)}}, tmp_path / "ifc_r50.pth")
    store = Store(tmp_path / "r", tmp_path / "x")
    preset = with_start(PRESETS["released"], tmp_path / "ifc_r50.pth", store)
    video = preset.video.model_copy(update={"data": FolderData(name=name)})
    preset = preset.model_copy(update={"video": video}).with_options(64, "bfloat16")
    return preset, "\n".join(head_lines(TABLES["table3a"](preset), preset, [], []))


def test_a_table_says_what_it_starts_from_and_at_what_size(tmp_path):
    preset, head = started(tmp_path)
    assert isinstance(preset.start, WeightsFile)
    assert (
        "released (6000 iterations of 16 clips of T=5 at 64 pixels in bfloat16, from a released "
        f"checkpoint (ifc_r50.pth, SHA-256 {preset.start.sha256[:8]}))"
    ) in head
    assert "at stride 1 (a shorter video is one window) at 64 pixels" in head


def test_a_released_checkpoint_on_videos_that_it_has_seen_is_a_warning(tmp_path):
    _, head = started(tmp_path)
    assert "warning: released checkpoints were trained on all training videos" in head
    assert "youtube-vis-2019's" in head
    assert "warning" not in started(tmp_path, "youtube-vis-2019")[1]


def test_images_are_tested_at_the_size_of_the_released_configuration():
    for name in ("paper", "released"):
        rows = TABLES["table3b"](PRESETS[name]).rows
        assert {test.size for row in rows for test in row.tests} == {800}
        assert {test.protocol for row in rows for test in row.tests} == {"image"}


def test_the_old_name_of_weights_is_taken(tmp_path):
    places = (f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}", "--data=nowhere")
    for word in ("--start", "--weights"):
        done = run_cli("plan", "--preset=paper", word, "none.pth", *places)
        assert "--weights: none.pth: no such file" in done.stderr
    assert "--start" not in run_cli("run", "--help").stdout


def words_of_run() -> list[str]:
    arguments = build_app([])["run"].assemble_argument_collection()
    return sorted({name for argument in arguments for name in argument.names if "--" in name})


@pytest.mark.parametrize("word", words_of_run())
def test_torchruns_parser_leaves_every_option_to_the_script(word):
    """It looks through the script's options as well, and refuses what may be one of its own."""
    from torch.distributed.run import get_args_parser

    if word == "--start":
        pytest.skip("the old name of --weights, which torchrun takes for one of two of its own")
    said = io.StringIO()
    given = ["--nproc-per-node", "2", "run_ablations.py", "run", word, "1"]
    try:
        with redirect_stderr(said):
            found = get_args_parser().parse_args(given)
    except SystemExit:
        pytest.fail(said.getvalue())
    assert found.training_script_args == ["run", word, "1"]


def test_the_short_recipe_runs_both_stages_of_the_paper():
    short, paper = PRESETS["paper-short"], PRESETS["paper"]
    assert short.pretrain
    assert short.model == paper.model
    assert short.video.data == paper.video.data
    seconds = [short.seconds_of(row.training) for row in TABLES["table3a"](short).rows]
    seconds += [short.seconds_of(row.training.start) for row in TABLES["table3a"](short).rows]
    assert sum(seconds) < 15 * 60, "minutes, by its own estimate"
