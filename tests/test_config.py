"""Ids: stable under what does not matter, different under all that does."""

import json

import pytest
from pydantic import ValidationError

from ifc_bench.config import (
    DecompTHW,
    Evaluation,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
    Optimisation,
    Profile,
    SyntheticData,
    Training,
    spoken,
)


def training(**changes: object) -> Training:
    base = Training(
        model=ModelConfig(),
        optimisation=Optimisation(iterations=10),
        data=SyntheticData(),
        seed=0,
    )
    return base.model_copy(update=changes)


def test_ids_of_all_variants_differ():
    models = [
        ModelConfig(communication=c)
        for c in (NoComm(), FullTHW(), DecompTHW(), InterFrame(memory_tokens=0), InterFrame())
    ]
    models += [ModelConfig(communication=InterFrame(grouping="unified"))]
    models += [ModelConfig(decoder="decomposed"), ModelConfig(attention="math")]
    models += [ModelConfig(added_layers_start="zero")]
    models += [
        ModelConfig(communication=InterFrame(**changes))
        for changes in (
            {"gather_communicate": False},
            {"decoder_sees_memory": False},
            {"memory_std": 0.02},
        )
    ]
    assert len({training(model=m).id for m in models}) == len(models)


def test_ids_depend_on_seed_schedule_and_data():
    ids = {
        training().id,
        training(seed=1).id,
        training(optimisation=Optimisation(iterations=11)).id,
        training(data=SyntheticData(seed=1)).id,
        Evaluation(training=training(), window=5).id,
        Evaluation(training=training(), window=10).id,
        Evaluation(training=training(), window=None).id,
        Evaluation(training=training(), window=5, stride=2).id,
        Profile(weights=training(), window=5, device="a").id,
        Profile(weights=training(), window=5, device="b").id,
    }
    assert len(ids) == 10


def test_a_test_that_isolates_frames_is_other_work_and_no_other_id_has_moved():
    """The two ids are those of the version before there was such a test."""
    whole = Evaluation(training=training(), window=5)
    assert whole.id == Evaluation(training=training(), window=5, isolated=False).id
    assert whole.id == "46f01a09a137fa35"
    unified = ModelConfig(communication=InterFrame(grouping="unified"))
    offline = Evaluation(training=training(model=unified), window=None, stride=2)
    assert offline.id == "e41a8bc2bbeaffcd"
    assert Evaluation(training=training(), window=5, isolated=True).id != whole.id
    assert whole.id == Evaluation(training=training(), window=5, precision="fp32").id
    assert whole.id == Evaluation(training=training(), window=5, compiled=False).id
    ways = [{"precision": p} for p in ("tf32", "bf16", "fp16")] + [{"compiled": True}]
    ids = {Evaluation(training=training(), window=5, **way).id for way in ways}
    assert len(ids | {whole.id}) == 5


@pytest.mark.parametrize(
    ("communication", "words"),
    [
        (InterFrame(), "ifc M=8"),
        (InterFrame(grouping="unified"), "ifc M=8 unified"),
        (
            InterFrame(gather_communicate=False, decoder_sees_memory=False, memory_std=0.02),
            "ifc M=8 without gather hidden memory std 0.02",
        ),
    ],
    ids=str,
)
def test_what_an_arm_changes_is_told(communication, words):
    assert spoken(communication) == words


def test_a_stretched_schedule_keeps_its_shape():
    short = Optimisation(iterations=340, warmup=50, drop_at=(272,), curve_every=170)
    long = short.of_length(1000)
    assert (long.iterations, long.drop_at, long.curve_every) == (1000, (800,), 500)
    assert (long.warmup, long.learning_rate) == (short.warmup, short.learning_rate)
    assert long.of_length(340) == short
    assert Optimisation(iterations=4).of_length(2).curve_every == 0


def test_an_id_survives_a_round_trip_through_json():
    work = Evaluation(training=training(), window=5)
    text = work.model_dump_json()
    assert Evaluation.model_validate_json(text).id == work.id


def test_defaults_are_released_and_do_not_change():
    """Ids leave out defaults, so a default that changed would give old ids a new meaning."""
    assert training().id == "3b8c87d5835f94f6"
    assert json.loads(ModelConfig().model_dump_json()) == {
        "classes": 40,
        "backbone": {
            "kind": "resnet",
            "depth": 50,
            "convention": "torchvision",
            "frozen_stages": 0,
        },
        "communication": {
            "kind": "ifc",
            "memory_tokens": 8,
            "grouping": "decomposed",
            "gather_communicate": True,
            "decoder_sees_memory": True,
            "memory_std": None,
        },
        "decoder": "unified",
        "attention": "materialised",
        "width": 256,
        "heads": 8,
        "feedforward": 2048,
        "encoder_layers": 3,
        "decoder_layers": 3,
        "dropout": 0.1,
        "queries": 100,
        "mask_stride": 8,
        "norm_groups": 32,
        "box_frames": 0,
        "added_layers_start": "paper",
        "time_positions": False,
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: InterFrame(memory_tokens=-1),
        lambda: InterFrame(memory_std=0.0),
        lambda: ModelConfig.model_validate({"communication": {"kind": "gossip"}}),
        lambda: ModelConfig.model_validate({"widht": 3}),
        lambda: Optimisation(iterations=0),
        lambda: Evaluation(training=training(), window=0),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(ValidationError):
        make()
