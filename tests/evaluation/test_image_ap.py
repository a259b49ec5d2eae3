"""On one-frame videos the image protocol is COCO's, and agrees with ours where both apply."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack, score_images, score_videos
from ifc_bench.masks import encode

SIZE = (40, 60)


def disc(rng: np.random.Generator, centre=None) -> tuple[np.ndarray, tuple[float, float]]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    centre = centre or (float(rng.uniform(8, 32)), float(rng.uniform(8, 52)))
    wobble = rng.normal(0, 1.5, 2)
    far = np.hypot(y - centre[0] - wobble[0], x - centre[1] - wobble[1])
    return far < rng.uniform(5, 9), centre


def rle(mask: np.ndarray) -> dict:
    return dict(encode(mask[None])[0])


@pytest.fixture(scope="module")
def scene() -> tuple[VideoInstances, list[PredictedTrack]]:
    """Thirty images with two instances of three classes each, and noisy detections of them."""
    rng = np.random.default_rng(0)
    videos, annotations, found = [], [], []
    for image in range(1, 31):
        situation = "plain" if image % 2 else "overlap"
        videos.append(
            {
                "id": image,
                "height": SIZE[0],
                "width": SIZE[1],
                "length": 1,
                "file_names": [f"{image}.jpg"],
                "situation": situation,
            }
        )
        for _ in range(2):
            category = int(rng.integers(1, 4))
            mask, centre = disc(rng)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": image,
                    "category_id": category,
                    "segmentations": [rle(mask)],
                }
            )
            guess, _ = disc(rng, centre)
            label = category if rng.random() < 0.8 else int(rng.integers(1, 4))
            found.append(
                PredictedTrack(
                    video_id=image,
                    category_id=label,
                    score=float(rng.random()),
                    segmentations=[rle(guess)],
                )
            )
    categories = [{"id": i, "name": n} for i, n in enumerate("abc", 1)]
    truth = TypeAdapter(VideoInstances).validate_python(
        {"videos": videos, "categories": categories, "annotations": annotations}
    )
    return truth, found


def test_both_protocols_agree_on_images_without_crowds(scene):
    ours, cocos = score_videos(*scene), score_images(*scene)
    same = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100")
    assert 0.1 < ours.summary()["AP"] < 0.9
    for name in same:
        assert cocos.summary()[name] == pytest.approx(ours.summary()[name], abs=1e-9)
    assert cocos.by_class() == pytest.approx(ours.by_class(), abs=1e-9)
    for situation, scores in ours.by_situation().items():
        for name in same:
            assert cocos.by_situation()[situation][name] == pytest.approx(scores[name], abs=1e-9)


def test_areas_are_cocos(scene):
    """All instances are under 32x32 pixels: small for COCO, and nothing is medium or large."""
    summary = score_images(*scene).summary()
    assert summary["APs"] == pytest.approx(summary["AP"])
    assert summary["APm"] == summary["APl"] == -1


def test_nothing_found_is_zero(scene):
    assert score_images(scene[0], []).summary()["AP"] == 0


def test_a_crowd_absorbs_what_lies_within_it(scene):
    truth, found = scene
    crowd = replace(truth.annotations[0], iscrowd=1)
    changed = replace(truth, annotations=[crowd, *truth.annotations[1:]])
    assert score_images(changed, found).summary() != score_images(truth, found).summary()


def test_an_annotation_of_id_0_can_be_hit(scene):
    """COCO files may count from 0; pycocotools takes a match with 0 for none."""
    truth, _ = scene
    annotations = [replace(a, id=a.id - 1) for a in truth.annotations]
    shifted = replace(truth, annotations=annotations)
    perfect = [
        PredictedTrack(
            video_id=a.video_id,
            category_id=a.category_id,
            score=1.0,
            segmentations=a.rles,
        )
        for a in annotations
    ]
    assert score_images(shifted, perfect).summary()["AP"] == pytest.approx(1.0)


def test_videos_are_refused(scene):
    truth, _ = scene
    long = truth.videos[0].model_copy(update={"length": 2, "file_names": ["a", "b"]})
    with pytest.raises(UserError, match="video 1: has 2 frames; the image protocol"):
        score_images(replace(truth, videos=[long]), [])
