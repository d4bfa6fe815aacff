"""The contract that every sampler keeps, and what each one does beyond it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from search_support import CONDITIONAL, FIXED, history, round_settings, space_of, stage
from test_narrowing import record

from evidence_hpo.config.search import NarrowingSettings, SamplerName, SearchSettings
from evidence_hpo.config.spaces import Space
from evidence_hpo.search.narrowing import narrow
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.samplers.designs import random_points, sobol_points
from evidence_hpo.search.samplers.history import STARTUP_TRIALS, evenly, split, usable
from evidence_hpo.search.samplers.registry import SAMPLERS
from evidence_hpo.search.samplers.request import PointRequest
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import Dimension, SearchSpace, concrete_space, is_active, sampled_value

EVERY = sorted(SAMPLERS)
LEARNING = ["gp", "tpe", "tpe_multivariate"]
SPACES = {"plain": space_of(), "conditional": space_of(space=CONDITIONAL)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[TrialRecord]]:
    folder = tmp_path_factory.mktemp("cache")
    return {name: history(stage(), folder, 2, space=space) for name, space in SPACES.items()}


def settings_of(sampler: str, round_: int = 2, **values: Any) -> ProposalSettings:
    return round_settings(SearchSettings(stages=(stage(sampler=sampler, **values),)), "stage1", round_)


def request_of(
    sampler: str,
    finished: list[TrialRecord],
    *,
    space: SearchSpace,
    pending: tuple[ProposedTrial, ...] = (),
    count: int = 4,
    **changes: Any,
) -> PointRequest:
    settings = settings_of(sampler).model_copy(update=changes)
    first = len(finished) + len(pending)
    ordered = sorted(finished, key=lambda trial: trial.number)
    return PointRequest(settings, space, ordered, pending, first, count)


def test_every_sampler_of_the_configuration_is_there() -> None:
    assert set(SAMPLERS) == set(get_args(SamplerName))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("sampler", EVERY)
def test_points_hold_exactly_what_acts(sampler: str, name: str, finished: dict[str, list[TrialRecord]]) -> None:
    space = SPACES[name]
    points = SAMPLERS[sampler](request_of(sampler, finished[name], space=space))
    assert len(points) == 4
    for point in points:
        seen: dict[str, Any] = {}
        for dimension in space.dimensions:
            value = sampled_value(dimension, point)
            assert (value is not None) == is_active(dimension, seen, FIXED)
            if value is not None:
                assert dimension.contains(value)
                assert isinstance(value, int) or dimension.kind != "int"
                seen |= value if isinstance(value, dict) else {dimension.name: value}
        assert seen == point


@pytest.mark.parametrize("sampler", EVERY)
def test_points_depend_on_the_request_alone(sampler: str, finished: dict[str, list[TrialRecord]]) -> None:
    one = request_of(sampler, finished["conditional"], space=SPACES["conditional"], count=1)
    first = SAMPLERS[sampler](one)
    random.seed(7)
    SAMPLERS["random"](one)
    assert SAMPLERS[sampler](one) == first
    for change in ({"seed": 1}, {"study": "other"}, {"stage": "other"}, {"architecture": "share"}):
        other = request_of(sampler, finished["conditional"], space=one.space, count=1, **change)
        assert SAMPLERS[sampler](other) != first


@pytest.mark.parametrize("round_", [0, 1, 2])
@pytest.mark.parametrize("sampler", EVERY)
def test_a_shorter_round_is_a_prefix_of_a_longer_one(
    sampler: str, round_: int, finished: dict[str, list[TrialRecord]]
) -> None:
    seen = finished["plain"] if round_ else []
    longest = SAMPLERS[sampler](request_of(sampler, seen, space=SPACES["plain"], count=4, round=round_))
    for count in (1, 3):
        assert (
            SAMPLERS[sampler](request_of(sampler, seen, space=SPACES["plain"], count=count, round=round_))
            == longest[:count]
        )


@pytest.mark.parametrize("sampler", EVERY)
def test_order_of_finished_and_pending_trials_changes_nothing(
    sampler: str, finished: dict[str, list[TrialRecord]]
) -> None:
    settings, space = settings_of(sampler).model_copy(update={"count": 2}), SPACES["conditional"]
    pending = list(
        propose(settings_of(sampler, 1, lag=1), space, finished["conditional"][:16]).trials,
    )
    seen = finished["conditional"][:16]
    reference = propose(settings, space, seen, pending)
    random.Random(1).shuffle(seen)
    random.Random(2).shuffle(pending)
    assert propose(settings, space, seen, pending) == reference


@pytest.mark.parametrize("sampler", LEARNING)
def test_failed_trials_change_no_suggestion(sampler: str, finished: dict[str, list[TrialRecord]]) -> None:
    seen = finished["plain"]
    kept = [trial for trial in seen if trial.state != "failed"]
    assert len(kept) < len(seen)
    one = request_of(sampler, seen, space=SPACES["plain"], count=2)
    other = PointRequest(one.settings, one.space, kept, (), one.first, 2)
    assert SAMPLERS[sampler](one) == SAMPLERS[sampler](other)


@pytest.mark.parametrize("sampler", LEARNING)
def test_round_0_and_rounds_that_have_seen_too_little_are_of_the_sobol_set(
    sampler: str, finished: dict[str, list[TrialRecord]]
) -> None:
    space = SPACES["plain"]
    everything = sobol_points(request_of(sampler, [], space=space, count=28))
    assert SAMPLERS[sampler](request_of(sampler, [], space=space, count=16, round=0)) == everything[:16]
    few = usable(finished["plain"])[: STARTUP_TRIALS - 1]
    request = request_of(sampler, few, space=space, count=2)
    assert SAMPLERS[sampler](request) == everything[request.first : request.first + 2]
    enough = usable(finished["plain"])[:STARTUP_TRIALS]
    request = request_of(sampler, enough, space=space, count=2)
    assert SAMPLERS[sampler](request) != everything[request.first : request.first + 2]


@pytest.mark.parametrize("sampler", LEARNING)
def test_a_sampler_that_learns_proposes_where_trials_were_good(sampler: str) -> None:
    space = SearchSpace("criteria", "stage1", "configured", (Dimension("dropout", "float", 0.0, 0.5),))
    seen = [record(i, 1 - (i / 32 - 0.4) ** 2, {"dropout": i / 32}) for i in range(16)]
    values = [point["dropout"] for point in SAMPLERS[sampler](request_of(sampler, seen, space=space, count=8))]
    assert sum(value > 0.25 for value in values) >= 6


@pytest.mark.parametrize("sampler", LEARNING)
def test_pruned_trials_count_as_bad(sampler: str) -> None:
    """All complete trials are alike; half of the space has pruned ones only."""
    space = SearchSpace("criteria", "stage1", "configured", (Dimension("dropout", "float", 0.0, 0.5),))
    complete = [record(i, 0.5 + i / 1000, {"dropout": 0.26 + i / 60}) for i in range(12)]
    pruned = [record(12 + i, 0.2, {"dropout": i / 50}, "pruned") for i in range(12)]
    request = request_of(sampler, [*complete, *pruned], space=space, count=8)
    values = [point["dropout"] for point in SAMPLERS[sampler](request)]
    assert sum(value > 0.2 for value in values) >= 6


@pytest.mark.parametrize("sampler", LEARNING)
def test_pending_trials_repel(sampler: str, finished: dict[str, list[TrialRecord]]) -> None:
    seen, space = finished["conditional"], SPACES["conditional"]
    first = SAMPLERS[sampler](request_of(sampler, seen, space=space))
    pending = tuple(
        ProposedTrial(number=28 + index, seed=0, sampled=point, parameters={}, rungs=())
        for index, point in enumerate(first)
    )
    aware = SAMPLERS[sampler](request_of(sampler, seen, space=space, pending=pending))
    assert all(point not in first for point in aware)


@pytest.mark.parametrize("sampler", LEARNING)
def test_values_outside_a_narrowed_box_are_no_obstacle(sampler: str, finished: dict[str, list[TrialRecord]]) -> None:
    pooling = Dimension("pooling", "categorical", choices=("cls", "mean"))
    space = SearchSpace("criteria", "stage1", "narrowed", (Dimension("dropout", "float", 0.1, 0.2), pooling))
    seen = [
        record(i, 0.5 + i / 100, {"dropout": 0.02 * i, "pooling": ("cls", "mean", "max")[i % 3]}) for i in range(16)
    ]
    for point in SAMPLERS[sampler](request_of(sampler, seen, space=space)):
        assert 0.1 <= point["dropout"] <= 0.2
        assert point["pooling"] in pooling.choices


@pytest.mark.parametrize("sampler", EVERY)
def test_spaces_without_a_choice_left(sampler: str, finished: dict[str, list[TrialRecord]]) -> None:
    single = (Dimension("dropout", "float", 0.1, 0.1), Dimension("pooling", "categorical", choices=("mean",)))
    for dimensions, expected in (((), {}), (single, {"dropout": 0.1, "pooling": "mean"})):
        space = SearchSpace("criteria", "stage1", "narrowed", dimensions)
        request = request_of(sampler, finished["plain"], space=space, count=3)
        assert SAMPLERS[sampler](request) == [expected] * 3


@pytest.mark.parametrize("sampler", LEARNING)
def test_a_choice_that_no_trial_has_had_can_be_proposed(sampler: str) -> None:
    """The governing choice was never tried, so the dimension it governs has no value at all."""
    dimensions = concrete_space(
        Space.model_validate(
            {"loss": {"choices": ["cross_entropy", "focal"]}, "focal_gamma": {"low": 1.0, "high": 5.0}}
        ),
        FIXED,
        "criteria",
        "stage1",
    ).dimensions
    space = SearchSpace("criteria", "stage1", "configured", dimensions)
    seen = [record(i, 0.5 + i / 100, {"loss": "cross_entropy"}) for i in range(12)]
    for point in SAMPLERS[sampler](request_of(sampler, seen, space=space, count=12)):
        assert ("focal_gamma" in point) == (point["loss"] == "focal")


def test_no_sampler_but_gp_loads_torch() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_samplers import *\n"
        "seen = [record(i, 0.5 + i / 100, {'dropout': i / 32}) for i in range(12)]\n"
        "space = SearchSpace('criteria', 'stage1', 'configured', (Dimension('dropout', 'float', 0.0, 0.5),))\n"
        "loaded = {}\n"
        "for name in ['grid', 'random', 'tpe', 'tpe_multivariate', 'gp']:\n"
        "    SAMPLERS[name](request_of(name, seen, space=space, count=1))\n"
        "    loaded[name] = ('optuna' in sys.modules, 'torch' in sys.modules)\n"
        "print(loaded)\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    neither, optuna = (False, False), (True, False)
    expected = {"grid": neither, "random": neither, "tpe": optuna, "tpe_multivariate": optuna, "gp": (True, True)}
    assert printed.strip() == str(expected)


# --- designs and history ---------------------------------------------------------------------------------------


def test_random_points_depend_on_their_number_only() -> None:
    space = SPACES["plain"]
    one, other = (PointRequest(settings_of("random"), space, (), (), first, 3) for first in (0, 1))
    assert random_points(one)[1:] == random_points(other)[:2]


def test_sobol_covers_each_dimension_evenly() -> None:
    space = SearchSpace("criteria", "stage1", "configured", (Dimension("dropout", "float", 0.0, 0.5),))
    request = PointRequest(settings_of("tpe"), space, (), (), 0, 64)
    values = sorted(point["dropout"] for point in sobol_points(request))
    assert [int(value / 0.5 * 64) for value in values] == list(range(64))


def test_the_best_trials_are_complete_before_pruned_and_thinning_keeps_the_order() -> None:
    complete = [record(i, i / 100, {"dropout": 0.1}) for i in range(30)]
    pruned = [record(30 + i, 0.9, {"dropout": 0.1}, "pruned") for i in range(10)]
    best, others = split([*pruned, *complete])
    assert [trial.number for trial in best] == [26, 27, 28, 29]
    assert [trial.number for trial in others] == [*range(26), *range(30, 40)]
    assert [trial.number for trial in split(complete[:1] + pruned)[0]] == [0, 30]
    assert [trial.number for trial in evenly(others, 6)] == [0, 6, 12, 18, 24, 34]
    assert evenly(others, 36) == others


def test_a_narrowed_stage_can_have_any_sampler(finished: dict[str, list[TrialRecord]]) -> None:
    narrowed = narrow(SPACES["conditional"], finished["conditional"], NarrowingSettings(), "stage2")
    for sampler in EVERY:
        search = SearchSettings(stages=(stage(), stage("stage2", space=None, sampler=sampler, first_round=4, trials=8)))
        first = propose(round_settings(search, "stage2", 0), narrowed, [], [], finished["conditional"])
        assert all(trial.origin for trial in first.trials)
        second = propose(round_settings(search, "stage2", 1), narrowed, [], first.trials)
        assert not any(trial.origin for trial in second.trials)
