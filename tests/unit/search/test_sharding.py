"""Division of a round into shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import FIXED, round_settings, space_of, stage

from evidence_hpo.config.search import SearchSettings
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import Proposals, ProposedTrial
from evidence_hpo.search.sharding import assign, relative_cost

MANIFESTS = {"small": {"layers": 2, "hidden": 128}, "large": {"layers": 24, "hidden": 1024}}
SETTINGS = round_settings(SearchSettings(stages=(stage(trials=16),)), "stage1", 0)
ROUND = propose(SETTINGS, space_of(), [])


def with_trials(values: list[tuple[str, int]]) -> Proposals:
    parameters = FIXED.model_dump()
    trials = tuple(
        ProposedTrial(
            number=number,
            seed=number,
            sampled={},
            parameters={**parameters, "backbone": backbone, "max_length": length},
            rungs=(),
        )
        for number, (backbone, length) in enumerate(values)
    )
    return ROUND.model_copy(update={"trials": trials})


rounds = st.lists(st.tuples(st.sampled_from(["small", "large"]), st.integers(16, 512)), min_size=1, max_size=40)


@given(rounds, st.integers(1, 50))
def test_every_trial_is_in_exactly_one_shard_and_none_is_overloaded(values: list[tuple[str, int]], shards: int) -> None:
    proposals = with_trials(values)
    assigned = assign(proposals, MANIFESTS, shards)
    assert len(assigned) == shards
    assert sorted(trial.number for trials in assigned for trial in trials) == list(range(len(values)))
    costs = {trial.number: relative_cost(trial, 4, 1.0, MANIFESTS) for trial in proposals.trials}
    loads = [sum(costs[trial.number] for trial in trials) for trials in assigned]
    assert max(loads) <= sum(loads) / shards + max(costs.values())


def test_trials_of_one_encoder_follow_each_other() -> None:
    (trials,) = assign(with_trials([("small", 64), ("large", 64), ("small", 128), ("large", 16)]), MANIFESTS, 1)
    assert [trial.number for trial in trials] == [1, 3, 0, 2]


def test_cost_grows_with_size_length_and_trained_layers() -> None:
    small, long, large = with_trials([("small", 64), ("small", 128), ("large", 64)]).trials
    frozen = small.model_copy(update={"parameters": {**small.parameters, "frozen_layers": 2}})
    costs = [relative_cost(trial, 4, 1.0, MANIFESTS) for trial in (frozen, small, long, large)]
    assert costs == sorted(costs)
    assert len(set(costs)) == 4
    assert relative_cost(small, 8, 0.5, MANIFESTS) == costs[1]


def test_a_larger_epoch_costs_more() -> None:
    def cost(**values: object) -> float:
        parameters = {"backbone": "small", "max_length": 64, **values}
        trial = ProposedTrial(number=0, seed=0, sampled={}, parameters=parameters, rungs=())
        return relative_cost(trial, 2, 0.5, {"small": {"layers": 2, "hidden": 128}})

    augmented = {"augmentation": "simple", "augmentation_probability": 0.5, "augmentation_variants": 4}
    plain = cost(augmentation="none")
    assert cost(**augmented, augmentation_mode="add") == pytest.approx(3.0 * plain)
    assert cost(**augmented, augmentation_mode="replace") == pytest.approx(2.5 * plain)
