"""Run-length texts of many masks at once: what is sound has its area, and nothing broken passes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifc_bench.data.fields import MAX_PIXELS
from ifc_bench.masks import compress
from ifc_bench.run_lengths import run_lengths, sound_areas

PIXELS = 320 * 640


def written(runs: list[int]) -> str:
    """COCO's text of any runs, also of ones that no mask has."""
    text = []
    for index, run in enumerate(runs):
        rest = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            digit, rest = rest & 31, rest >> 5
            more = rest != -1 if digit & 16 else rest != 0
            text.append(chr(48 + digit + 32 * more))
    return "".join(text)


@st.composite
def masks(draw) -> list[int]:
    """Runs that fill the frame: few and long, or many and short."""
    most = draw(st.sampled_from([PIXELS, 40]))
    runs = draw(st.lists(st.integers(0, most), max_size=40))
    while sum(runs) > PIXELS:
        runs.pop()
    return [*runs, PIXELS - sum(runs)]


def one_by_one(texts: list[str]) -> list[int] | None:
    """The same from `run_lengths`, and plain sums."""
    decoded = [run_lengths(text) for text in texts]
    if any(r is None or min(r) < 0 or sum(r) != PIXELS for r in decoded):
        return None
    return [sum(runs[1::2]) for runs in decoded]


@given(st.lists(masks(), max_size=12))
@settings(deadline=None)
def test_areas_of_whole_masks(all_runs):
    texts = [written(runs) for runs in all_runs]
    assert texts == [compress([320, 640], runs)["counts"] for runs in all_runs]
    found = sound_areas(texts, PIXELS)
    assert found is not None
    assert found.tolist() == [sum(runs[1::2]) for runs in all_runs] == one_by_one(texts)


@given(st.lists(masks(), min_size=1, max_size=6), st.data())
@settings(deadline=None, max_examples=300)
def test_a_broken_text_among_whole_ones_is_found(all_runs, data):
    """Broken as files are: cut off, a character changed or put in, runs that do not fit."""
    texts = [written(runs) for runs in all_runs]
    index = data.draw(st.integers(0, len(texts) - 1))
    text, place = texts[index], data.draw(st.integers(0, len(texts[index]) - 1))
    letter = data.draw(st.characters(min_codepoint=40, max_codepoint=120))
    changed = list(all_runs[index])
    run = data.draw(st.integers(0, len(changed) - 1))
    changed[run] += data.draw(st.sampled_from([1, -1, 1 << 28, -(1 << 28)]))
    swapped = [*changed]
    swapped[0] -= changed[run] - all_runs[index][run]  # the sum is right, a run may be negative
    texts[index] = data.draw(
        st.sampled_from(
            [
                text[:place],
                text[:place] + letter + text[place + 1 :],
                text[:place] + letter + text[place:],
                written(changed),
                written(swapped),
            ]
        )
    )
    found = sound_areas(texts, PIXELS)
    assert (None if found is None else found.tolist()) == one_by_one(texts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("P", "its last digit is not final"),
        ("PPPPPPP0", "a run of eight digits"),
        ("PPPPPP0", "a run of seven digits"),
        ("/", "below the digits"),
        ("p", "above the digits"),
        ("\u00e9", "no ASCII"),
        ("\ud800", "half a surrogate pair"),
        (written([PIXELS - 1]), "a pixel too few"),
        (written([PIXELS + 1]), "a pixel too many"),
        (written([-5, PIXELS + 5]), "a negative run"),
        (written([0, 10, 5, -3, PIXELS - 12]), "a negative run after the third"),
        (written([0, 10, -3, 3, PIXELS - 10]), "a negative third run"),
        (written([1 << 28] * 16 + [PIXELS]), "the right sum modulo 2**32"),
    ],
)
def test_each_fault_alone_and_among_whole_masks(text, why):
    whole = written([5, 7, PIXELS - 12])
    for texts in ([text], [whole, text], [text, whole], [whole, text, written([PIXELS]), whole]):
        assert sound_areas(texts, PIXELS) is None, why


@pytest.mark.parametrize("count", [599, 600, 601, 1500])
def test_more_masks_than_are_decoded_at_once(count):
    runs = [
        [n % 7, 1 + n % 5, PIXELS - n % 7 - 1 - n % 5][: 1 + 2 * (n % 3 > 0)] for n in range(count)
    ]
    runs = [r if len(r) == 3 else [PIXELS] for r in runs]
    texts = [written(r) for r in runs]
    found = sound_areas(texts, PIXELS)
    assert found is not None
    assert found.tolist() == [sum(r[1::2]) for r in runs]
    for broken in (0, count // 2, count - 1):
        assert sound_areas([*texts[:broken], "1", *texts[broken + 1 :]], PIXELS) is None


def test_the_largest_frame():
    runs = [0, MAX_PIXELS - 2, 1, 1]
    found = sound_areas([written(runs), written([0, MAX_PIXELS])], MAX_PIXELS)
    assert found is not None
    assert found.tolist() == [MAX_PIXELS - 1, MAX_PIXELS]


def test_no_masks_have_no_areas():
    found = sound_areas([], PIXELS)
    assert found is not None
    assert found.shape == (0,)
    assert found.dtype == np.int64
