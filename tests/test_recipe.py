"""Rows: the preset's recipe with some fields changed, and nothing else."""

import pytest
from pydantic import ValidationError

from ablations import PRESETS, TABLES
from ifc_bench.cli.recipes import Recipes
from ifc_bench.config import ImageNet, NoComm, SyntheticData, Training
from ifc_bench.config import Testing as HowTested  # pytest collects what begins with Test
from ifc_bench.recipe import Row, Table
from ifc_bench.records import Device
from ifc_bench.sweep.plan import make_plan

SMOKE = PRESETS["smoke"]
RELEASED = PRESETS["released"]


def test_a_row_without_changes_is_the_presets_recipe():
    row = Row.of(SMOKE, "as it is")
    stage = SMOKE.video
    assert row.training == Training(
        model=SMOKE.model, optimisation=stage.optimisation, data=stage.data, seed=0
    )
    assert row.tests == (HowTested(window=5), HowTested(window=10))


def test_a_row_may_vary_any_field():
    data = SyntheticData(seed=1)
    row = Row.of(
        SMOKE, "other", model={"communication": NoComm(), "classes": 7}, data=data,
        optimisation={"iterations": 9}, loss={"dice": 2}, start=ImageNet(),
        testing={"score_threshold": 0.5, "stride": 2},
    )  # fmt: skip
    assert (row.training.model.communication, row.training.model.classes) == (NoComm(), 7)
    schedule = row.training.optimisation
    assert (schedule.iterations, schedule.loss.dice, schedule.clips) == (9, 2.0, 2)
    assert schedule.loss.no_object == SMOKE.video.optimisation.loss.no_object
    assert (row.training.data, row.training.start) == (data, ImageNet())
    assert row.windows == (5, 10)
    assert {(test.score_threshold, test.stride) for test in row.tests} == {(0.5, 2)}


def test_videos_start_from_images_where_the_preset_says_so():
    first = Row.of(RELEASED, "videos").training.start
    assert isinstance(first, Training)
    image = Row.of(RELEASED, "images", RELEASED.image)
    assert first == image.training
    assert image.training.start == ImageNet()
    assert image.training.model.classes == 80
    assert [(test.window, test.protocol) for test in image.tests] == [(1, "image")]
    assert Row.of(RELEASED, "fresh", start=None).training.start is None


def test_a_row_with_a_window_is_tested_at_that_one_alone():
    assert Row.of(SMOKE, "one", testing={"window": 7}).windows == (7,)
    assert Row.of(SMOKE, "offline", testing={"window": None}).windows == (None,)
    twice = (HowTested(window=3), HowTested(window=None))
    row = Row.of(SMOKE, "both", tests=twice)
    assert row.windows == (3, None)
    assert row.test(None) == twice[1]
    with pytest.raises(ValueError, match="both: has no test at T = 5"):
        row.test(5)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"widht": 3}},
        {"optimisation": {"clip_frames": 0}},
        {"loss": {"matching": "by eye"}},
        {"testing": {"widow": 5}},
        {"tests": (HowTested(window=5), HowTested(window=5, stride=2))},
    ],
)
def test_a_change_that_changes_nothing_is_refused(changes):
    with pytest.raises(ValidationError):
        Row.of(SMOKE, "wrong", **changes)


def test_a_row_takes_its_seeds_from_the_preset():
    training = Row.of(SMOKE, "any").training.model_copy(update={"seed": 3})
    with pytest.raises(ValidationError, match="has seed 3, not 0"):
        Row(label="any", training=training, tests=(HowTested(window=5),))
    row = Row.of(SMOKE, "any")
    table = Table(name="t", title="T", factor="f", rows=(row,), metrics=("AP",))
    assert [one.seed for one in table.trainings(SMOKE, row)] == [0, 1]
    with pytest.raises(ValidationError, match="has none, or two with the same window"):
        Row(label="untested", training=row.training, tests=())
    with pytest.raises(ValidationError, match="table t has two with the same label"):
        Table(name="t", title="T", factor="f", rows=(row, row), metrics=("AP",))


def test_tests_are_given_once():
    with pytest.raises(ValueError, match="row a: testing and tests exclude each other"):
        Row.of(PRESETS["smoke"], "a", testing={"window": 5}, tests=(HowTested(window=10),))


def test_a_rows_speed_is_measured_as_its_accuracy_is_tested():
    preset = SMOKE.with_options(testing={"precision": "fp16", "compiled": True})
    table = TABLES["table3a"](preset)
    device = Device(kind="cuda", name="a GPU")
    for row in table.rows:
        profile = table.profile(preset, row, 5, device)
        [test, *_] = table.evaluations(preset, row, 5)
        assert (profile.precision, profile.compiled) == (test.precision, test.compiled)
        assert (test.precision, test.compiled) == ("fp16", True)
    row = TABLES["table3a"](SMOKE).rows[0]
    assert preset.video.optimisation == SMOKE.video.optimisation, "training is the same"
    assert table.rows[0].training == row.training


def test_rows_may_share_one_pretraining_for_each_seed():
    """With No Comm's network, whatever the row's, so that a seed's rows start from the same."""
    shared = PRESETS["quick"].model_copy(
        update={"pretrain": True, "pretrain_module": NoComm(), "pretrain_seeds": True, "seeds": 3}
    )
    table = TABLES["table3a"](shared)
    starts = {
        (row.label, training.seed): training.start
        for row in table.rows
        for training in table.trainings(shared, row)
    }
    assert {start.model.communication.kind for start in starts.values()} == {"none"}
    by_seed = {seed: {s.id for (_, at), s in starts.items() if at == seed} for seed in range(3)}
    assert [len(ids) for ids in by_seed.values()] == [1, 1, 1]
    assert len(set.union(*by_seed.values())) == 3
    plan = make_plan([table], shared, Device(kind="cpu", name="here", threads=1))
    assert len(plan.trainings) == 3 + 4 * 3


def test_a_pretraining_of_its_own_network_stays_one_for_all_seeds():
    made = PRESETS["quick"].model_copy(update={"pretrain": True, "seeds": 3})
    table = TABLES["table3a"](made)
    starts = {t.start.id for row in table.rows for t in table.trainings(made, row)}
    assert len(starts) == 3, "No Comm's serves Full THW, which is the same network on one frame"


def test_seeds_begin_at_the_first_and_the_profile_is_of_it():
    made = PRESETS["quick"].model_copy(update={"first_seed": 1000, "seeds": 2})
    table = TABLES["table3a"](made)
    trainings = table.trainings(made, table.rows[0])
    assert [training.seed for training in trainings] == [1000, 1001]
    profile = table.profile(made, table.rows[0], 5, Device(kind="cpu", name="here"))
    assert profile.weights == trainings[0]
    more = made.model_copy(update={"seeds_of_tables": (("decide", 6),)})
    assert [more.seeds_of(name) for name in ("table3a", "decide")] == [2, 6]
    decide = TABLES["decide"](more)
    counts = {row.label: len(decide.seeds(more, row)) for row in decide.rows}
    assert (counts["IFC"], counts["M = 16"]) == (6, 3)
    given = Recipes(TABLES, {"x": more}).preset("x", seeds=4)
    assert given.seeds_of("decide") == 4, "--seeds is for every table"
    limited = table.rows[0].model_copy(update={"most_seeds": 1})
    assert [training.seed for training in table.trainings(made, limited)] == [1000]
