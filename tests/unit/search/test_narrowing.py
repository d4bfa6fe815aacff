"""Narrowed spaces: what is kept, within which bounds, and that every dimension says why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_support import CONDITIONAL, DIGESTS, FIXED, SPACE, history, space_of, stage

from evidence_hpo.config.search import NarrowingSettings
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.schemas import check_artefact
from evidence_hpo.search.narrowing import best_trials, narrow
from evidence_hpo.search.records import Evaluation, TrialRecord
from evidence_hpo.search.spaces import Dimension, SearchSpace, resolve


def record(number: int, value: float, sampled: dict[str, Any], state: str = "complete") -> TrialRecord:
    evaluation = Evaluation(epoch=1.0, train={"loss": 1.0}, metrics={"macro_f1": value})
    return TrialRecord.model_validate(
        {
            "study": "test",
            "architecture": "criteria",
            "stage": "stage1",
            "round": 0,
            "number": number,
            "key": "0" * 64,
            "state": state,
            "value": None if state == "failed" else value,
            "sampled": sampled,
            "parameters": resolve(FIXED, sampled, "criteria"),
            "seed": number,
            "epochs": 2,
            "data_fraction": 0.5,
            "rungs": (),
            "origin": None,
            "objective": "macro_f1",
            "early_stopping_patience": 0,
            "runtime": RuntimeSettings(),
            "evaluations": () if state == "failed" else (evaluation,),
            "best_epoch": None if state == "failed" else 1.0,
            "effective_batch_size": 16,
            "effective_learning_rate": 1e-5,
            "reason": "non-finite loss" if state == "failed" else None,
            "precision": "fp32",
            "notes": (),
            "digests": DIGESTS,
            "versions": {},
            "duration_seconds": 1.0,
        }
    )


def space(*dimensions: Dimension) -> SearchSpace:
    return SearchSpace("criteria", "stage1", "configured", dimensions)


RATE = Dimension("learning_rate", "float", 1e-6, 1e-2, log=True)


@pytest.mark.parametrize(("settings", "share"), [({}, 0.25), ({"margin": 0.5}, 0.5), ({"margin": 0.0}, 0.0)])
def test_interval_is_the_quantiles_with_a_margin_on_the_logarithmic_scale(settings: Any, share: float) -> None:
    trials = [record(i, 1 - i / 1000, {"learning_rate": 10 ** (-5 + i / 50)}) for i in range(100)]
    (narrowed,) = narrow(space(RATE), trials, NarrowingSettings(top=50, **settings), "stage2").dimensions
    exponents = np.array([-5 + i / 50 for i in range(50)])
    low, high = np.quantile(exponents, [0.1, 0.9])
    margin = share * (high - low)
    assert narrowed.bounds == pytest.approx((10 ** (low - margin), 10 ** (high + margin)), rel=1e-9)
    assert narrowed.log
    assert "of 50 trials" in narrowed.note
    assert "logarithmic" in narrowed.note


def test_a_small_stage_is_narrowed_without_a_margin() -> None:
    trials = [record(i, 1 - i / 1000, {"learning_rate": 10 ** (-5 + i / 50)}) for i in range(99)]
    (narrowed,) = narrow(space(RATE), trials, NarrowingSettings(top=40), "stage2").dimensions
    exponents = np.array([-5 + i / 50 for i in range(40)])
    assert narrowed.bounds == pytest.approx(tuple(10 ** np.quantile(exponents, [0.1, 0.9])), rel=1e-9)


def test_whole_numbers_are_rounded_outward_and_never_past_their_values() -> None:
    width = Dimension("head_hidden", "int", 16, 1024, log=True)
    trials = [record(i, 0.5, {"head_hidden": 64 if i % 2 else 256}) for i in range(20)]
    settings_ = NarrowingSettings(top=20, margin=0.0, quantiles=(0.0, 1.0))
    (narrowed,) = narrow(space(width), trials, settings_, "stage2").dimensions
    assert narrowed.bounds == (64, 256)
    layers = Dimension("head_layers", "int", 0, 4)
    trials = [record(i, 0.5, {"head_layers": i % 2 + 1}) for i in range(20)]
    (narrowed,) = narrow(space(layers), trials, NarrowingSettings(margin=0.25), "stage2").dimensions
    assert narrowed.bounds == (0, 3)


def test_equal_values_keep_a_small_interval_around_them() -> None:
    trials = [record(i, 0.5, {"dropout": 0.2}) for i in range(20)]
    (narrowed,) = narrow(space(Dimension("dropout", "float", 0.0, 0.5)), trials, NarrowingSettings(), "s").dimensions
    assert narrowed.bounds == pytest.approx((0.175, 0.225))
    assert "5% of the earlier interval" in narrowed.note


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1, exclude_max=True)), min_size=5, max_size=40), st.booleans())
def test_bounds_never_grow_and_hold_the_middle(rows: list[tuple[float, float]], log: bool) -> None:
    before = Dimension("learning_rate", "float", 1e-5, 1e-2, log=log)
    trials = [record(i, value, {"learning_rate": before.at(position)}) for i, (value, position) in enumerate(rows)]
    (narrowed,) = narrow(space(before), trials, NarrowingSettings(), "stage2").dimensions
    low, high = narrowed.bounds
    assert 1e-5 <= low < high <= 1e-2
    best, _ = best_trials(trials, 50)
    middle = float(np.quantile([float(trial.sampled["learning_rate"]) for trial in best], 0.5, method="lower"))
    assert low <= middle * (1 + 1e-9)
    assert middle <= high * (1 + 1e-9)


def test_order_of_trials_changes_nothing() -> None:
    trials = [record(i, math.sin(i), {"learning_rate": 10 ** (-5 + (i % 7) / 3)}) for i in range(40)]
    settings_ = NarrowingSettings(top=10)
    assert narrow(space(RATE), trials, settings_, "s") == narrow(space(RATE), trials[::-1], settings_, "s")


def test_a_choice_needs_its_share() -> None:
    pooling = Dimension("pooling", "categorical", choices=("cls", "mean", "max", "attention"))
    chosen = ["cls"] * 10 + ["mean"] * 9 + ["max"]
    trials = [record(i, 0.9, {"pooling": one}) for i, one in enumerate(chosen)]
    trials += [record(20 + i, 0.1, {"pooling": "attention"}) for i in range(20)]
    (narrowed,) = narrow(space(pooling), trials, NarrowingSettings(), "stage2").dimensions
    assert narrowed.choices == ("cls", "mean")
    assert narrowed.note == "2 of 4 choices kept, with a share of at least 0.0625 of 20 trials: " + (
        "cls 10, mean 9, max 1, attention 0"
    )


def test_a_choice_without_any_result_says_so() -> None:
    pooling = Dimension("pooling", "categorical", choices=("cls", "mean", "max", "attention"))
    trials = [record(i, 0.9, {"pooling": "cls"}) for i in range(10)]
    trials += [record(10 + i, 0.0, {"pooling": "mean"}, "failed") for i in range(3)]
    trials += [record(13, 0.1, {"pooling": "max"}), record(14, 0.0, {"pooling": "max"}, "failed")]
    (narrowed,) = narrow(space(pooling), trials, NarrowingSettings(), "stage2").dimensions
    assert narrowed.choices == ("cls",)
    assert narrowed.note.endswith(
        ": cls 6, mean 0, max 0, attention 0; all 3 trials with mean failed; attention was never tried"
    )
    few = [*trials[:3], *trials[10:12]]
    (kept,) = narrow(space(pooling), few, NarrowingSettings(), "stage2").dimensions
    assert kept.choices == pooling.choices
    assert kept.note == (
        "kept as it was: 3 of the best 3 trials have a value; all 2 trials with mean failed; max was never tried; "
        "attention was never tried"
    )


def test_configured_conditions_stay_and_decide_what_is_left_out() -> None:
    pooling = Dimension("pooling", "categorical", choices=("cls", "mean"))
    dropout = Dimension("dropout", "float", 0.0, 0.5, when={"pooling": ("mean",)})
    both = [record(i, 0.5, {"pooling": "mean", "dropout": i / 40} if i % 2 else {"pooling": "cls"}) for i in range(20)]
    narrowed = narrow(space(pooling, dropout), both, NarrowingSettings(top=20), "stage2")
    assert narrowed.dimensions[1].when == {"pooling": ("mean",)}
    assert narrowed.dimensions[1].bounds != dropout.bounds
    one = [record(i, 0.5, {"pooling": "cls"}) for i in range(20)]
    narrowed = narrow(space(pooling, dropout), one, NarrowingSettings(), "stage2")
    assert [dimension.name for dimension in narrowed.dimensions] == ["pooling"]
    assert narrowed.notes[-1] == "dropout is left out: pooling is never mean"
    # A conditional parameter has its fixed value elsewhere, which the narrowing does not know: it leaves out nothing.
    optimizer = Dimension("optimizer", "categorical", choices=("adamw", "lion"))
    governed = Dimension("pooling", "categorical", choices=("cls", "mean"), when={"optimizer": ("adamw",)})
    some = [
        record(i, 0.5, {"optimizer": "adamw", "pooling": "cls"} if i % 2 else {"optimizer": "lion"}) for i in range(20)
    ]
    narrowed = narrow(space(optimizer, governed, dropout), some, NarrowingSettings(top=20), "stage2")
    assert [dimension.name for dimension in narrowed.dimensions] == ["optimizer", "pooling", "dropout"]


@pytest.mark.parametrize("log", [False, True])
def test_a_stage_narrowed_twice_stays_within_the_first_box(log: bool) -> None:
    """The re-runs of the best of the stage before may all lie outside of it."""
    rate = Dimension("learning_rate", "float", 1e-4, 1e-3, log=log)
    above = [record(i, 0.5 + i / 100, {"learning_rate": 2e-3 + i / 1e5}) for i in range(8)]
    (edge,) = narrow(space(rate), above, NarrowingSettings(), "stage3").dimensions
    assert edge.bounds[1] == pytest.approx(1e-3)
    assert 1e-4 < edge.bounds[0] < 1e-3
    mixed = [*above, *(record(8 + i, 0.9 + i / 1000, {"learning_rate": 3e-4 + i / 1e5}) for i in range(24))]
    (inside,) = narrow(space(rate), mixed, NarrowingSettings(), "stage3").dimensions
    assert 1e-4 <= inside.bounds[0] < 3e-4 + 1e-4
    assert inside.bounds[1] <= 1e-3
    choices = Dimension("pooling", "categorical", choices=("cls",))
    gone = [record(i, 0.5, {"pooling": "max"}) for i in range(20)]
    (kept,) = narrow(space(choices), gone, NarrowingSettings(), "stage3").dimensions
    assert kept.choices == ("cls",)
    assert "none of the best 10 trials has one of its choices" in kept.note


def test_three_stages_of_a_real_space(tmp_path: Path) -> None:
    before = space_of(space=CONDITIONAL)
    trials = history(stage(), tmp_path, 3, space=before)
    for name in ("stage2", "stage3"):
        narrowed = narrow(before, trials, NarrowingSettings(), name)
        check_artefact("space", narrowed.to_json(), "space.json")
        wider = {dimension.name: dimension for dimension in before.dimensions}
        for dimension in narrowed.dimensions:
            if dimension.kind == "categorical":
                assert all(choice in wider[dimension.name].choices for choice in dimension.choices)
            else:
                low, high = wider[dimension.name].bounds
                assert low <= dimension.bounds[0] < dimension.bounds[1] <= high
        before = narrowed
        trials = history(stage(name), tmp_path, 3, space=narrowed)


def test_conditional_dimension_follows_the_trials_where_it_acted() -> None:
    loss = Dimension("loss", "categorical", choices=("cross_entropy", "focal"))
    gamma = Dimension("focal_gamma", "float", 1.0, 5.0, note="as configured")
    few = [
        record(i, 0.5, {"loss": "focal", "focal_gamma": 2.0} if i < 4 else {"loss": "cross_entropy"}) for i in range(20)
    ]
    kept = narrow(space(loss, gamma), few, NarrowingSettings(top=20, choice_share=0.1), "stage2").dimensions[1]
    assert (kept.low, kept.high) == (1.0, 5.0)
    assert kept.note.startswith("kept as it was: 4 of the best")
    many = [record(i, 0.5, {"loss": "focal", "focal_gamma": 2.0 + i / 20}) for i in range(20)]
    narrowed = narrow(space(loss, gamma), many, NarrowingSettings(top=20), "stage2")
    assert narrowed.dimensions[1].bounds < (5.0, 5.0)
    assert narrowed.dimensions[1].bounds[0] > 1.5


def test_dimension_without_its_choice_is_left_out() -> None:
    loss = Dimension("loss", "categorical", choices=("cross_entropy", "focal"))
    gamma = Dimension("focal_gamma", "float", 1.0, 5.0)
    trials = [record(i, 0.5, {"loss": "cross_entropy"}) for i in range(20)]
    narrowed = narrow(space(loss, gamma), trials, NarrowingSettings(), "stage2")
    assert [dimension.name for dimension in narrowed.dimensions] == ["loss"]
    assert narrowed.notes[-1] == "focal_gamma is left out: loss is never focal"


def test_failed_trials_alone_leave_the_space_with_a_note() -> None:
    trials = [record(i, 0.0, {"learning_rate": 1e-3}, "failed") for i in range(20)]
    narrowed = narrow(space(RATE), trials, NarrowingSettings(), "stage2")
    assert narrowed.dimensions[0].bounds == RATE.bounds
    assert "20 failed" in narrowed.notes[0]
    assert "stays as it was" in narrowed.notes[0]


def test_pruned_trials_count_only_where_complete_ones_are_too_few() -> None:
    complete = [record(i, 0.1, {"learning_rate": 1e-3}) for i in range(3)]
    pruned = [record(3 + i, 0.9 - i / 10, {"learning_rate": 1e-5}, "pruned") for i in range(5)]
    best, note = best_trials([*complete, *pruned], 50)
    assert [trial.number for trial in best] == [0, 1, 2, 3, 4]
    assert "the 2 pruned trials that came furthest" in note
    best, _ = best_trials([*complete, *pruned, *(record(9 + i, 0.1, {"learning_rate": 1e-3}) for i in range(3))], 50)
    assert all(trial.state == "complete" for trial in best)


def test_a_small_study_is_narrowed_by_its_better_half() -> None:
    trials = [record(i, 1 - i / 100, {"learning_rate": 1e-3}) for i in range(20)]
    assert [trial.number for trial in best_trials(trials, 50)[0]] == list(range(10))
    assert len(best_trials(trials[:6], 50)[0]) == 5
    assert len(best_trials([record(i, 0.5, {"learning_rate": 1e-3}) for i in range(200)], 50)[0]) == 50


def test_a_real_space_narrows_to_a_valid_one(tmp_path: Path) -> None:
    trials = history(stage(), tmp_path, 3)
    narrowed = narrow(space_of(), trials, NarrowingSettings(), "stage2")
    check_artefact("space", narrowed.to_json(), "space.json")
    before = {dimension.name: dimension for dimension in space_of().dimensions}
    assert SPACE.root
    for dimension in narrowed.dimensions:
        assert dimension.note != before[dimension.name].note
        if dimension.kind == "categorical":
            assert set(map(str, dimension.choices)) <= set(map(str, before[dimension.name].choices))
        else:
            low, high = before[dimension.name].bounds
            assert low <= dimension.bounds[0] <= dimension.bounds[1] <= high
