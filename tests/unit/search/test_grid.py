"""The grid: each combination once, in a spread order, without ever being written out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import CONDITIONAL, FIXED, round_settings, space_of, stage

from evidence_hpo.config.search import SearchSettings
from evidence_hpo.config.spaces import Space
from evidence_hpo.files import canonical_json
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.samplers.grid import Grid, shuffled
from evidence_hpo.search.spaces import Dimension, SearchSpace, concrete_space, is_active, parameters_of

SMALL = Space.model_validate(
    {
        "loss": {"choices": ["cross_entropy", "focal", "label_smoothing"]},
        "focal_gamma": {"low": 1.0, "high": 5.0},
        "label_smoothing": {"low": 0.0, "high": 0.2},
        "head_layers": {"low": 0, "high": 1},
        "head_activation": {"choices": ["relu", "gelu"], "when": {"loss": ["focal"]}},
        "dropout": {"low": 0.0, "high": 0.5, "when": {"head_activation": ["gelu"]}},
    }
)


def dimensions_of(space: Space) -> tuple[Dimension, ...]:
    return concrete_space(space, FIXED, "criteria", "stage1").dimensions


def written_out(dimensions: tuple[Dimension, ...], per_number: int) -> set[str]:
    """Return all distinct combinations the slow way: the whole product, inactive values left out."""
    found = set()
    for values in itertools.product(*(dimension.spaced(per_number) for dimension in dimensions)):
        sampled: dict[str, Any] = {}
        for dimension, value in zip(dimensions, values, strict=True):
            if is_active(dimension, sampled, FIXED):
                sampled |= parameters_of(dimension, value)
        found.add(canonical_json(sampled))
    return found


@pytest.mark.parametrize("per_number", [2, 3])
def test_each_distinct_combination_is_there_once(per_number: int) -> None:
    dimensions = dimensions_of(SMALL)
    grid = Grid(dimensions, per_number, FIXED)
    points = [canonical_json(grid.point(index)) for index in range(grid.size)]
    assert len(points) == len(set(points))
    assert set(points) == written_out(dimensions, per_number)


@given(st.integers(1, 400), st.integers(0, 2**31 - 1))
def test_the_order_is_a_permutation(size: int, seed: int) -> None:
    assert sorted(shuffled(index, size, seed) for index in range(size)) == list(range(size))


def test_the_beginning_of_the_order_is_spread() -> None:
    size = 10**30
    places = [shuffled(index, size, seed=1) / size for index in range(400)]
    tenths = [sum(int(place * 10) == tenth for place in places) for tenth in range(10)]
    assert min(tenths) > 20
    assert abs(sum(places) / 400 - 0.5) < 5 * math.sqrt(1 / 12 / 400)
    assert places != [shuffled(index, size, seed=2) / size for index in range(400)]


def test_a_huge_grid_is_never_written_out() -> None:
    space = space_of(space=CONDITIONAL)
    grid = Grid(space.dimensions, 100, FIXED)
    assert grid.size > 10**15
    assert len(grid._counts) < 2000
    last = grid.point(grid.size - 1)
    assert grid.point(0) != last
    assert last["learning_rate"] == space.dimensions[[d.name for d in space.dimensions].index("learning_rate")].high


def test_numbers_are_evenly_spaced_on_their_scale_with_both_ends() -> None:
    rate = Dimension("learning_rate", "float", 1e-5, 1e-1, log=True)
    assert rate.spaced(5) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    assert (rate.spaced(7)[0], rate.spaced(7)[-1]) == (1e-5, 1e-1)
    assert Dimension("dropout", "float", 0.0, 0.5).spaced(3) == [0.0, 0.25, 0.5]
    assert Dimension("head_layers", "int", 0, 2).spaced(5) == [0, 1, 2]
    assert Dimension("head_hidden", "int", 64, 1024, log=True).spaced(3) == [64, 256, 1024]
    assert Dimension("head_hidden", "int", 1, 4, log=True).spaced(4) == [1, 2, 3, 4]
    assert Dimension("pooling", "categorical", choices=("cls", "max")).spaced(9) == ["cls", "max"]
    assert Dimension("dropout", "float", 0.2, 0.2).spaced(3) == [0.2]


def proposals_of(round_: int, finished: list[Any], previous: list[Any] | None = None, **values: Any) -> Any:
    search = SearchSettings(stages=(stage(), stage("stage2", sampler="grid", **values)))
    space = SearchSpace("criteria", "stage2", "configured", dimensions_of(SMALL))
    return propose(round_settings(search, "stage2", round_), space, finished, [], previous or [])


def test_a_stage_goes_through_the_grid_again_with_other_seeds() -> None:
    size = Grid(dimensions_of(SMALL), 2, FIXED).size
    trials = proposals_of(0, [], trials=2 * size, first_round=2 * size, grid_points=2).trials
    sampled = [canonical_json(trial.sampled) for trial in trials]
    assert sampled[:size] == sampled[size:]
    assert len(set(sampled)) == size
    assert len({trial.seed for trial in trials}) == 2 * size


def test_reruns_take_no_point_of_the_grid(tmp_path: Any) -> None:
    """Round 0 re-runs the best of the stage before; the grid starts with the first trial that is no re-run."""
    from test_narrowing import record

    previous = [record(i, 0.5 + i / 10, {"dropout": i / 10}) for i in range(3)]
    narrowed = {"space": None, "trials": 12, "first_round": 5, "round_size": 7}
    configured = {"trials": 9, "first_round": 9}
    first = proposals_of(0, [], previous, **narrowed)
    assert [trial.origin is not None for trial in first.trials] == [True] * 3 + [False] * 2
    later = proposals_of(1, [], **narrowed).trials  # nothing is known of round 0: as if it had no re-runs
    pending = propose(
        round_settings(SearchSettings(stages=(stage(), stage("stage2", sampler="grid", **narrowed))), "stage2", 1),
        SearchSpace("criteria", "stage2", "configured", dimensions_of(SMALL)),
        [],
        first.trials,
    ).trials
    whole = [trial.sampled for trial in proposals_of(0, [], **configured).trials]
    assert [trial.sampled for trial in (*first.trials[3:], *pending)] == whole
    assert [trial.sampled for trial in later[:4]] == whole[5:]
