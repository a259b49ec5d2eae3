"""AP and AR by occlusion, as OVIS's own API gives them."""

import json

import numpy as np
import pytest

from ifc_bench.data.annotations import read_instances
from ifc_bench.evaluation import as_result, read_predictions, score_videos
from ifc_bench.masks import areas, encode
from tests.conftest import run_cli

HEIGHT, WIDTH, LENGTH = 24, 30, 5
WORDS = ["no_occlusion", "slight_occlusion", "severe_occlusion"]
# OVISeval of github.com/qjy981010/cocoapi on the same two files; over 30 seeds the largest
# difference of the nine numbers was 3e-17.
API = {
    "AP light": 0.069075907591, "AP medium": 0.009729222922, "AP heavy": 0.024934945418,
    "AR light": 0.2, "AR medium": 0.1, "AR heavy": 0.095,
}  # fmt: skip

NAMES = ("light", "medium", "heavy")


def scene(rng: np.random.Generator) -> tuple[dict, list]:
    """Four videos of discs that move, each with one or two detections near it."""
    names = [[f"{i}/{f}.jpg" for f in range(LENGTH)] for i in range(1, 5)]
    shape = {"width": WIDTH, "height": HEIGHT, "length": LENGTH}
    videos = [{"id": i, **shape, "file_names": n} for i, n in enumerate(names, 1)]
    annotations, found = [], []

    def tube(centre=None):
        centre = rng.uniform(3, 20, 2) if centre is None else centre
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        radius = rng.uniform(3, 7)
        discs = [
            (y - centre[0] - frame * 0.5) ** 2 + (x - centre[1]) ** 2 < radius * radius
            for frame in range(LENGTH)
        ]
        return np.array(discs), centre

    for number in range(1, 25):
        video = int(rng.integers(1, 5))
        masks, centre = tube()
        rles: list = [dict(rle) for rle in encode(masks)]
        rles[int(rng.integers(0, LENGTH))] = None
        hidden = [
            None if rle is None else str(rng.choice(WORDS, p=rng.dirichlet([1, 1, 1])))
            for rle in rles
        ]
        annotations.append(
            {
                "id": number,
                "video_id": video,
                "category_id": int(rng.integers(1, 3)),
                "iscrowd": int(rng.random() < 0.05),
                "segmentations": rles,
                "areas": [None if rle is None else float(areas([rle])[0]) for rle in rles],
                "occlusion": hidden,
            }
        )
        for _ in range(rng.integers(1, 3)):
            guess, _ = tube(centre + rng.normal(0, 1.2, 2))
            category, score = annotations[-1]["category_id"], float(rng.random())
            entry = {"video_id": video, "category_id": category, "score": score}
            found.append({**entry, "segmentations": [dict(rle) for rle in encode(guess)]})
    classes = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    return {"videos": videos, "categories": classes, "annotations": annotations}, found


@pytest.fixture
def files(tmp_path):
    truth, found = scene(np.random.default_rng(0))
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path / "truth.json", tmp_path / "found.json"


def test_numbers_are_those_of_the_api(files):
    truth = read_instances(files[0])
    scores = score_videos(truth, read_predictions(files[1], truth))
    assert scores.by_occlusion() == pytest.approx(API, abs=1e-9)
    result = as_result(scores, truth, 1, 1.0)
    kept = [part for part in result.by_stratum if part.attribute == "occlusion"]
    assert [part.ap for part in kept] == pytest.approx([API[f"AP {n}"] for n in NAMES], abs=1e-9)
    assert all(part.truths for part in kept)


def test_an_instance_is_as_hidden_as_in_the_worse_half_of_its_frames(files):
    first = read_instances(files[0]).annotations[0]
    for words, expected in (
        ([WORDS[0], WORDS[2], WORDS[1], None, WORDS[0]], 0.5),  # of four frames 0.25 and 0.75
        ([WORDS[0], WORDS[1], WORDS[1]], 0.25),  # of three frames two
        ([WORDS[2]], 0.75),
        ([None], None),
        ("much", None),
    ):
        found = type(first)(1, 1, 1, first.segmentations, occlusion=words)
        assert found.occluded == expected


def test_evaluate_prints_them_where_the_data_has_them(files):
    done = run_cli(
        "evaluate", "--ground-truth", files[0], "--predictions", files[1], "--format", "json"
    )
    printed = json.loads(done.stdout)
    assert {name: printed[name] for name in API} == pytest.approx(API, abs=1e-9)
    content = json.loads(files[0].read_text())
    for annotation in content["annotations"]:
        del annotation["occlusion"]
    files[0].write_text(json.dumps(content))
    plain = run_cli(
        "evaluate", "--ground-truth", files[0], "--predictions", files[1], "--format", "json"
    )
    assert not set(json.loads(plain.stdout)) & set(API)
    assert len(json.loads(plain.stdout)) == 12
