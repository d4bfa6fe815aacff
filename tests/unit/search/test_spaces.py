"""Concrete spaces: which dimensions there are, and that no point breaks a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_support import FIXED, SPACE, space_of

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


@given(st.sampled_from(ARCHITECTURES), st.lists(positions, min_size=20, max_size=20))
def test_every_point_is_valid_and_holds_active_parameters_only(architecture: str, row: list[float]) -> None:
    space = space_of(architecture)
    sampled = sample(space, row)
    resolved = resolve(FIXED, sampled, architecture)
    complete = TrialParameters.model_validate({**FIXED.model_dump(), **resolved})
    assert complete.batch_size * complete.gradient_accumulation_steps in EFFECTIVE_BATCH_SIZES
    assert set(sampled) <= set(resolved) == set(active_parameters(complete.model_dump(), architecture))
    assert isinstance(resolved["gradient_accumulation_steps"], int)
    for dimension in space.dimensions:
        searched = {"batch_size", "gradient_accumulation_steps"} if dimension.name == BATCHING else {dimension.name}
        assert searched <= set(sampled) or not searched & set(resolved)


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_space_survives_its_file(architecture: str) -> None:
    space = space_of(architecture)
    check_artefact("space", space.to_json(), "space.json")
    assert SearchSpace.from_json(space.to_json()) == space
