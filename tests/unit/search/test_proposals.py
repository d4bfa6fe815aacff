"""Proposals and pruning thresholds: pure functions of finished trials, in any order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import FIXED, history, round_settings, space_of, stage
from test_narrowing import record

from evidence_hpo.config.parameters import EFFECTIVE_BATCH_SIZES
from evidence_hpo.config.search import NarrowingSettings, PrunerSettings, SearchSettings
from evidence_hpo.errors import DataError
from evidence_hpo.schemas import check_artefact
from evidence_hpo.search.narrowing import narrow
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.pruning import rung_thresholds
from evidence_hpo.search.records import Evaluation, TrialRecord
from evidence_hpo.search.samplers.designs import sobol_points
from evidence_hpo.search.samplers.request import PointRequest
from evidence_hpo.search.spaces import Dimension, SearchSpace, resolve


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    return history(stage(), tmp_path_factory.mktemp("cache"), 2)


def settings_of(round_: int, **values: Any) -> Any:
    return round_settings(SearchSettings(stages=(stage(**values),)), "stage1", round_)


def test_order_of_finished_and_pending_trials_changes_nothing(finished: list[TrialRecord]) -> None:
    pending = propose(settings_of(1), space_of(), finished[:16]).trials
    seen, unseen = finished[:16], list(pending)
    reference = propose(settings_of(2), space_of(), seen, unseen)
    for seed in range(3):
        random.Random(seed).shuffle(seen)
        random.Random(seed).shuffle(unseen)
        assert propose(settings_of(2), space_of(), seen, unseen) == reference


def test_proposals_obey_the_space(finished: list[TrialRecord]) -> None:
    proposals = propose(settings_of(2), space_of(), finished)
    check_artefact("proposals", proposals.model_dump(mode="json"), "proposals.json")
    assert [trial.number for trial in proposals.trials] == list(range(28, 40))
    assert len({trial.seed for trial in proposals.trials}) == 12
    dimensions = {dimension.name: dimension for dimension in space_of().dimensions}
    for trial in proposals.trials:
        assert trial.parameters == resolve(FIXED, trial.sampled, "criteria")
        batch = trial.sampled["batch_size"] * trial.sampled["gradient_accumulation_steps"]
        assert batch in EFFECTIVE_BATCH_SIZES
        assert ("focal_gamma" in trial.sampled) == (trial.sampled["loss"] == "focal")
        assert ("adam_beta2" in trial.sampled) == (trial.sampled["optimizer"] == "adamw")
        assert all(dimensions[name].contains(value) for name, value in trial.sampled.items() if name in dimensions)


def test_failed_trials_change_no_suggestion(finished: list[TrialRecord]) -> None:
    kept = [trial for trial in finished if trial.state != "failed"]
    assert len(kept) < len(finished)
    assert propose(settings_of(2), space_of(), kept) == propose(settings_of(2), space_of(), finished)


def test_sobol_goes_on_until_tpe_has_enough(finished: list[TrialRecord]) -> None:
    everything = sobol_points(PointRequest(settings_of(0), space_of(), (), (), 0, 28))
    unseen = propose(settings_of(0), space_of(), []).trials
    lagging = propose(settings_of(1, lag=1), space_of(), [], unseen)
    assert [trial.sampled for trial in (*unseen, *lagging.trials)] == everything
    few, enough = finished[:9], [trial for trial in finished[:16] if trial.state != "failed"]
    assert len(enough) >= 10
    assert [trial.sampled for trial in propose(settings_of(1), space_of(), few).trials] == everything[16:]
    assert [trial.sampled for trial in propose(settings_of(1), space_of(), enough).trials] != everything[16:]


def test_pending_trials_repel(finished: list[TrialRecord]) -> None:
    """With the constant liar, points of a round spread; without what is pending they would be proposed again."""
    first = propose(settings_of(1), space_of(), finished[:16])
    later = settings_of(1).model_copy(update={"first_number": 28})
    again = propose(later, space_of(), finished[:16])
    aware = propose(later, space_of(), finished[:16], first.trials)
    assert [trial.sampled for trial in again.trials] == [trial.sampled for trial in first.trials]
    assert all(trial.sampled not in [one.sampled for one in first.trials] for trial in aware.trials)


def test_a_trial_cannot_be_finished_and_pending(finished: list[TrialRecord]) -> None:
    pending = propose(settings_of(1), space_of(), finished[:16]).trials
    with pytest.raises(DataError, match="both finished and pending"):
        propose(settings_of(2), space_of(), finished, pending)
    with pytest.raises(DataError, match="not of an earlier round"):
        propose(settings_of(1), space_of(), finished)


def test_a_rerun_round_is_filled_up_with_new_points(finished: list[TrialRecord]) -> None:
    search = SearchSettings(stages=(stage(), stage("stage2", space=None, trials=40, first_round=40, epochs=4)))
    narrowed = narrow(space_of(), finished, NarrowingSettings(), "stage2")
    trials = propose(round_settings(search, "stage2", 0), narrowed, [], [], finished).trials
    complete = sum(trial.state == "complete" for trial in finished)
    assert [trial.origin is not None for trial in trials] == [True] * complete + [False] * (40 - complete)
    assert [trial.number for trial in trials] == list(range(40))
    none = propose(round_settings(search, "stage2", 0), narrowed, [], [], []).trials
    assert all(trial.origin is None for trial in none)


def test_equal_configurations_are_rerun_once() -> None:
    same = [record(i, 0.5 + i / 10, {"dropout": 0.2}) for i in range(3)] + [record(3, 0.1, {"dropout": 0.3})]
    search = SearchSettings(stages=(stage(), stage("stage2", space=None, trials=2, first_round=2)))
    trials = propose(round_settings(search, "stage2", 0), space_of(stage="stage2"), [], [], same).trials
    assert [trial.origin.number for trial in trials if trial.origin] == [2, 3]


def test_tpe_learns() -> None:
    """After trials that are good at high dropout only, most of a round is proposed there."""
    space = SearchSpace("criteria", "stage1", "configured", (Dimension("dropout", "float", 0.0, 0.5),))
    seen = [record(i, float(i / 16 > 0.8), {"dropout": i / 32}) for i in range(16)]
    trials = propose(settings_of(1), space, seen).trials
    assert sum(trial.sampled["dropout"] > 0.35 for trial in trials) >= 9


def test_an_empty_space_repeats_the_fixed_parameters() -> None:
    space = SearchSpace("criteria", "stage1", "configured", ())
    for round_ in (0, 1):
        trials = propose(settings_of(round_), space, []).trials
        assert all(trial.sampled == {} for trial in trials)
        assert len({trial.seed for trial in trials}) == len(trials)


# --- thresholds ------------------------------------------------------------------------------------------------


def at(number: int, *values: float) -> TrialRecord:
    evaluations = tuple(
        Evaluation(epoch=float(epoch), train={"loss": None}, metrics={"macro_f1": value})
        for epoch, value in enumerate(values, start=1)
    )
    return record(number, max(values), {"dropout": 0.1}).model_copy(update={"evaluations": evaluations})


@given(st.lists(st.floats(0, 1), min_size=5, max_size=60), st.integers(2, 10))
def test_successive_halving_keeps_the_best_share(values: list[float], eta: int) -> None:
    trials = [at(number, value) for number, value in enumerate(values)]
    (rung,) = rung_thresholds(PrunerSettings(eta=eta, rungs=(1.0,)), trials)
    assert rung.threshold in values
    better = [value for value in values if value > rung.threshold]
    kept = [value for value in values if value >= rung.threshold]
    assert len(better) < max(1, len(values) // eta) <= len(kept)
    assert rung_thresholds(PrunerSettings(eta=eta, rungs=(1.0,)), trials[::-1]) == (rung,)


def test_thresholds_count_the_trials_that_reached_the_rung() -> None:
    trials = [at(number, 0.1 * number, *([0.5 + number / 100] if number >= 4 else [])) for number in range(9)]
    pruner = PrunerSettings(eta=3, rungs=(1.0, 2.0), minimum_trials=5)
    first, second = rung_thresholds(pruner, trials)
    assert first.threshold == pytest.approx(0.6)
    assert second.threshold == pytest.approx(0.58)
    assert rung_thresholds(pruner, trials[:8])[1].threshold is None
    median = rung_thresholds(PrunerSettings(kind="median", rungs=(1.0,)), trials)
    assert median[0].threshold == pytest.approx(0.4)
    assert rung_thresholds(PrunerSettings(kind="none"), trials) == ()


def test_the_median_is_that_of_the_complete_trials() -> None:
    """Pruned trials would pull it down, and with it every later threshold."""
    complete = [at(number, 0.5 + number / 10) for number in range(5)]
    pruned = [at(5 + number, 0.1).model_copy(update={"state": "pruned"}) for number in range(20)]
    median = PrunerSettings(kind="median", rungs=(0.5,), minimum_trials=5)
    assert rung_thresholds(median, [*complete, *pruned])[0].threshold == pytest.approx(0.7)
    assert rung_thresholds(median, [*complete[:4], *pruned])[0].threshold is None
