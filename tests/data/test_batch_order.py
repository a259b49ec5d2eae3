"""Batches of one orientation, from epochs that visit every video once."""

import pickle

import numpy as np
import pytest

from ifc_bench.data.batch_order import BatchOrder


def landscape(videos: int, share: float, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).random(videos) < share
    found[:2] = [True, False]
    return found


def one_by_one(order: BatchOrder, wide: np.ndarray, batches: int) -> list[list[int]]:
    """Clips in turn, each put with those of its orientation until they are a batch."""
    waiting: dict[bool, list[int]] = {True: [], False: []}
    found: list[list[int]] = []
    number = 0
    while len(found) < batches:
        group = waiting[bool(wide[order.video(number)])]
        group.append(number)
        if len(group) == order.clips:
            found.append(list(group))
            group.clear()
        number += 1
    return found


@pytest.mark.parametrize(
    ("videos", "clips", "share"),
    [(13, 4, 0.6), (9, 3, 0.5), (57, 16, 0.4), (200, 12, 0.9), (5, 2, 0.5)],
)
def test_batches_are_those_of_clips_taken_one_by_one(videos, clips, share):
    wide = landscape(videos, share)
    assert clips <= wide.sum() <= videos - clips, "both orientations fill a batch"
    order = BatchOrder(wide, clips, seed=3)
    expected = one_by_one(order, wide, 60)
    assert [order.batch(iteration) for iteration in range(60)] == expected
    fresh = BatchOrder(wide, clips, seed=3)
    assert [fresh.batch(iteration) for iteration in (59, 7, 0)] == [expected[i] for i in (59, 7, 0)]
    assert pickle.loads(pickle.dumps(order)).batch(5) == expected[5]


def test_videos_of_one_orientation_are_in_the_order_of_their_epoch():
    """As before batches were grouped, so trainings on such data are the same."""
    order = BatchOrder(np.ones(10, bool), 4, seed=1)
    assert [order.batch(iteration) for iteration in (0, 3)] == [[0, 1, 2, 3], [12, 13, 14, 15]]
    permuted = np.random.default_rng([1, 0, 1]).permutation(10)
    assert [order.video(number) for number in range(10, 20)] == permuted.tolist()


def test_every_video_is_visited_once_an_epoch():
    wide = landscape(50, 0.7)
    order = BatchOrder(wide, 4, seed=0)
    numbers = [number for iteration in range(100) for number in order.batch(iteration)]
    assert len(set(numbers)) == len(numbers)
    assert set(range(350)) <= set(numbers), "only the last few can wait"
    for batch in range(100):
        assert len({bool(wide[order.video(n)]) for n in numbers[batch * 4 : batch * 4 + 4]}) == 1


def test_a_rare_orientation_does_not_wait_for_a_batch_of_its_own():
    """One portrait video of a hundred would not be seen for 16 epochs."""
    wide = np.ones(100, bool)
    wide[7] = False
    order = BatchOrder(wide, 16, seed=0)
    seen = [order.video(n) for iteration in range(7) for n in order.batch(iteration)]
    assert 1 <= seen.count(7) <= 2, "of 112 clips"
