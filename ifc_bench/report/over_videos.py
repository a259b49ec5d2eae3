"""A difference between two rows of a table, over seeds and videos together."""

from __future__ import annotations

from ifc_bench.recipe.control import Measure
from ifc_bench.report.crossed import Crossed, crossed, crossed_pairs
from ifc_bench.report.results import Results


def over_videos(
    results: Results,
    row: str,
    against: str,
    window: int | None,
    measure: Measure = "AP",
    situation: str | None = None,
) -> Crossed | None:
    """`row` less `against`: seed by seed where both test the same trainings or share their starts.

    None where a side has no record with what it needs, or sides of the same trainings share none.
    """
    a, b = (results.scores_of(one, window, measure, situation) for one in (against, row))
    if a is None or b is None:
        return None
    trained = {one.label: one.training.id for one in results.table.rows}
    same = trained[row] == trained[against]
    shared = sorted(a.seeds.keys() & b.seeds.keys())
    # One seed of two trainings does not say how they vary; one tested twice has the same weights.
    if not same and not (results.paired(row, against) and len(shared) > 1):
        return crossed(a.scores, b.scores, a.videos)
    if not shared:
        return None
    left, right = (side.scores.of([side.seeds[seed] for seed in shared]) for side in (a, b))
    return crossed_pairs(left, right, a.videos)
