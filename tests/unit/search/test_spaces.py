"""Concrete spaces: which dimensions there are, and that no point breaks a rule."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import CONDITIONAL, FIXED, SPACE, space_of

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import resolved_parameters
from evidence_hpo.config.parameters import (
    ARCHITECTURES,
    EFFECTIVE_BATCH_SIZES,
    TrialParameters,
    active_parameters,
)
from evidence_hpo.config.spaces import Space
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.schemas import check_artefact
from evidence_hpo.search.spaces import (
    BATCHING,
    Dimension,
    SearchSpace,
    concrete_space,
    is_active,
    parameters_of,
    resolve,
)

positions = st.floats(0, 1, exclude_max=True)


def sample(space: SearchSpace, row: list[float]) -> dict[str, Any]:
    sampled: dict[str, Any] = {}
    for dimension, position in zip(space.dimensions, row, strict=False):
        if is_active(dimension, sampled, FIXED):
            sampled.update(parameters_of(dimension, dimension.at(position)))
    return sampled


@given(
    st.sampled_from(ARCHITECTURES), st.sampled_from([SPACE, CONDITIONAL]), st.lists(positions, min_size=20, max_size=20)
)
def test_every_point_is_valid_and_holds_active_parameters_only(
    architecture: str, configured: Space, row: list[float]
) -> None:
    space = space_of(architecture, space=configured)
    sampled = sample(space, row)
    resolved = resolve(FIXED, sampled, architecture)
    complete = TrialParameters.model_validate({**FIXED.model_dump(), **resolved})
    assert complete.batch_size * complete.gradient_accumulation_steps in EFFECTIVE_BATCH_SIZES
    assert set(sampled) <= set(resolved) == set(active_parameters(complete.model_dump(), architecture))
    assert isinstance(resolved["gradient_accumulation_steps"], int)
    for dimension in space.dimensions:
        searched = {"batch_size", "gradient_accumulation_steps"} if dimension.name == BATCHING else {dimension.name}
        governed = any(sampled.get(other) not in needed for other, needed in dimension.when.items())
        assert searched <= set(sampled) or governed or not searched & set(resolved)


def test_resolving_agrees_with_the_configuration() -> None:
    configuration = default_configuration()
    sampled = {"optimizer": "adafactor", "loss": "focal", "focal_gamma": 3.0, "head_layers": 0}
    fixed = configuration.training.parameters
    ours = resolve(fixed, sampled, "share")
    theirs = resolved_parameters(configuration, sampled, "share")
    assert ours == {**theirs, "gradient_accumulation_steps": 1}


@given(positions)
def test_a_dimension_stays_within_its_bounds(position: float) -> None:
    assert 1e-5 <= Dimension("x", "float", 1e-5, 1e-2, log=True).at(position) <= 1e-2
    for log in (False, True):
        value = Dimension("x", "int", 3, 9, log=log).at(position)
        assert isinstance(value, int)
        assert 3 <= value <= 9


def test_whole_numbers_and_choices_have_equal_shares() -> None:
    number, choice = Dimension("x", "int", 0, 3), Dimension("y", "categorical", choices=("a", "b", "c"))
    values = [number.at((index + 0.5) / 400) for index in range(400)]
    assert [values.count(value) for value in range(4)] == [100] * 4
    assert [choice.at(position) for position in (0.0, 0.34, 0.67, 0.999)] == ["a", "b", "c", "c"]


def test_parameters_of_other_architectures_are_left_out_with_a_note() -> None:
    space = space_of("evidence")
    assert "pooling" not in {dimension.name for dimension in space.dimensions}
    assert "pooling acts on nothing in evidence: left out" in space.notes


def test_conditions_stand_before_what_they_govern_in_any_order_of_the_file() -> None:
    forward = space_of()
    backward = concrete_space(Space(dict(reversed(SPACE.root.items()))), FIXED, "criteria", "stage1")
    assert backward.dimensions == forward.dimensions
    names = [dimension.name for dimension in forward.dimensions]
    assert names.index("optimizer") < names.index("adam_beta2")
    assert names.index("loss") < names.index("focal_gamma")


def test_a_dimension_that_never_acts_is_left_out() -> None:
    space = concrete_space(
        Space.model_validate({"focal_gamma": {"low": 1.0, "high": 5.0}, "dropout": {"low": 0.0, "high": 0.1}}),
        FIXED,
        "criteria",
        "stage1",
    )
    assert [dimension.name for dimension in space.dimensions] == ["dropout"]
    assert space.notes == ("focal_gamma is left out: loss is never focal",)


@pytest.mark.parametrize(
    ("entries", "pairs"),
    [
        ({"batch_size": {"choices": [8, 16, 32]}, "gradient_accumulation_steps": {"choices": [1, 2]}}, 5),
        ({"batch_size": {"choices": [8, 16]}}, 2),
        ({"gradient_accumulation_steps": {"choices": [1, 4, "auto"]}}, 2),
    ],
)
def test_batching_is_one_dimension_of_allowed_pairs(entries: dict[str, Any], pairs: int) -> None:
    (dimension,) = concrete_space(Space.model_validate(entries), FIXED, "criteria", "stage1").dimensions
    products = [pair["batch_size"] * pair["gradient_accumulation_steps"] for pair in dimension.choices]
    assert len(dimension.choices) == pairs
    assert set(products) <= set(EFFECTIVE_BATCH_SIZES)


def test_no_allowed_pair_is_an_error() -> None:
    fixed = FIXED.model_copy(update={"gradient_accumulation_steps": 3})
    with pytest.raises(ConfigurationError, match=r"batch_size \[8\] with gradient_accumulation_steps \[3\]"):
        concrete_space(Space.model_validate({"batch_size": {"choices": [8]}}), fixed, "criteria", "stage1")


def one_space(entries: dict[str, Any], architecture: str = "criteria", **fixed: Any) -> SearchSpace:
    values = FIXED.model_copy(update=fixed)
    return concrete_space(Space.model_validate(entries), values, architecture, "stage1")


def test_a_configured_condition_decides_beside_those_of_the_parameter() -> None:
    """Where it does not hold, the fixed value acts and the trial has sampled none."""
    space = one_space(
        {
            "schedule": {"choices": ["linear", "polynomial"]},
            "pooling": {"choices": ["cls", "mean"]},
            "schedule_power": {"low": 1.0, "high": 4.0, "when": {"pooling": ["mean"]}},
        }
    )
    power = space.dimensions[-1]
    assert power.name == "schedule_power"
    assert power.when == {"pooling": ("mean",)}
    assert power.note == "as configured; acts where schedule is polynomial and pooling is mean"
    for schedule, pooling in itertools.product(("linear", "polynomial"), ("cls", "mean")):
        sampled = {"schedule": schedule, "pooling": pooling}
        assert is_active(power, sampled, FIXED) == ((schedule, pooling) == ("polynomial", "mean"))
    resolved = resolve(FIXED, {"schedule": "polynomial", "pooling": "cls"}, "criteria")
    assert resolved["schedule_power"] == FIXED.schedule_power


def test_a_condition_on_a_conditional_parameter_sees_its_fixed_value() -> None:
    entries = {
        "optimizer": {"choices": ["adamw", "adafactor"]},
        "pooling": {"choices": ["cls", "mean"], "when": {"optimizer": ["adamw"]}},
        "dropout": {"low": 0.0, "high": 0.5, "when": {"pooling": ["max"]}},
    }
    fixed = FIXED.model_copy(update={"pooling": "max"})
    dropout = next(one for one in one_space(entries, pooling="max").dimensions if one.name == "dropout")
    assert is_active(dropout, {"optimizer": "adafactor"}, fixed)
    assert not is_active(dropout, {"optimizer": "adamw", "pooling": "mean"}, fixed)
    left_out = one_space(entries, pooling="cls")
    assert "dropout is left out: pooling is never max" in left_out.notes


def test_a_parameter_that_acts_on_nothing_meets_no_condition() -> None:
    """Without layers the head's activation has no value, whatever is fixed for it; evidence has no pooling at all."""
    entries = {"head_layers": {"low": 0, "high": 2}, "dropout": {"low": 0.0, "high": 0.5, "when": {}}}
    entries["dropout"]["when"] = {"head_activation": [FIXED.head_activation]}
    space = one_space(entries)
    assert [dimension.name for dimension in space.dimensions] == ["head_layers", "dropout"]
    assert not is_active(space.dimensions[1], {"head_layers": 0}, FIXED)
    assert is_active(space.dimensions[1], {"head_layers": 1}, FIXED)
    entries = {"dropout": {"low": 0.0, "high": 0.5, "when": {"pooling": [FIXED.pooling]}}}
    assert [one.name for one in one_space(entries).dimensions] == ["dropout"]
    assert one_space(entries, "evidence").notes == (f"dropout is left out: pooling is never {FIXED.pooling}",)


def test_batching_governs_and_is_governed() -> None:
    both = {"when": {"optimizer": ["adamw"]}}
    space = one_space(
        {
            "batch_size": {"choices": [8, 16], **both},
            "gradient_accumulation_steps": {"choices": [1, 2], **both},
            "optimizer": {"choices": ["adamw", "lion"]},
            "warmup_ratio": {"low": 0.0, "high": 0.3, "when": {"batch_size": [8]}},
        }
    )
    optimizer, batching, warmup = sorted(space.dimensions, key=lambda one: one.name != "optimizer")
    if batching.name != BATCHING:
        batching, warmup = warmup, batching
    assert batching.when == {"optimizer": ("adamw",)}
    assert not is_active(batching, {"optimizer": "lion"}, FIXED)
    assert is_active(warmup, {"optimizer": "adamw", "batch_size": 8, "gradient_accumulation_steps": 2}, FIXED)
    assert not is_active(warmup, {"optimizer": "lion"}, FIXED)
    assert [one.name for one in space.dimensions].index(BATCHING) < [one.name for one in space.dimensions].index(
        "warmup_ratio"
    )
    assert optimizer.when == {}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("configured", [SPACE, CONDITIONAL], ids=["plain", "conditional"])
def test_space_survives_its_file(architecture: str, configured: Space) -> None:
    space = space_of(architecture, space=configured)
    check_artefact("space", space.to_json(), "space.json")
    assert SearchSpace.from_json(space.to_json()) == space


def test_the_methods_of_a_mask_are_named() -> None:
    entries = {
        "augmentation": {"choices": ["none", "one_of"]},
        "simple_mask": {"choices": [1, 6]},
        "textattack_mask": {"low": 1, "high": 5},
    }
    notes = {dimension.name: dimension.note for dimension in one_space(entries).dimensions}
    assert notes["simple_mask"].endswith("; 1 is random_deletion; 6 is random_swap, aeda")
    assert notes["textattack_mask"].endswith("; its bits: 1 wordnet, 2 synonym_insertion, 4 word_deletion")
    assert "acts where augmentation is simple or" in notes["simple_mask"]
    assert notes["augmentation"] == "as configured"
