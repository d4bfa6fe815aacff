"""Which banks a run or a space uses, and what a configuration may ask of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.config.augmentation import FAMILIES, METHODS, STRENGTH_LEVELS
from evidence_hpo.config.banks import banks_of_run, possible_banks, possible_sources, sources_of_run
from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.config.parameters import ARCHITECTURES, TrialParameters, active_parameters, parameter_names
from evidence_hpo.config.policies import POLICIES
from evidence_hpo.config.spaces import Space
from evidence_hpo.errors import ConfigurationError

masks = {family: st.integers(1, (1 << len(METHODS[family])) - 1) for family in FAMILIES}
levels = st.integers(0, STRENGTH_LEVELS - 1)


def test_the_policies_are_those_of_the_parameter() -> None:
    for policy in POLICIES:
        assert TrialParameters(augmentation=policy).augmentation == policy
    assert len(POLICIES) == 6


@pytest.mark.parametrize("policy", POLICIES)
def test_a_parameter_acts_only_where_its_policy_uses_it(policy: str) -> None:
    values = TrialParameters(augmentation=policy).model_dump()
    families = {family for pair in POLICIES[policy] for family in pair if family in FAMILIES}
    expected = {f"{family}_{what}" for family in families for what in ("mask", "strength")}
    if families:
        expected |= {f"augmentation_{what}" for what in ("variants", "probability", "mode", "nulls")}
    own = {name for name in parameter_names("share") if "augmentation_" in name or name.split("_")[0] in FAMILIES}
    assert set(active_parameters(values, "share")) & own == expected
    for architecture in ARCHITECTURES:
        acts = "augmentation_nulls" in active_parameters(values, architecture)
        assert acts == (bool(families) and architecture != "criteria")


@given(st.sampled_from(list(POLICIES)), masks["simple"], masks["textattack"], levels, levels)
def test_the_banks_of_a_run_are_among_those_of_its_space(
    policy: str, simple: int, textattack: int, one: int, other: int
) -> None:
    values: dict[str, Any] = {
        "augmentation": policy,
        "simple_mask": simple,
        "textattack_mask": textattack,
        "simple_strength": one,
        "textattack_strength": other,
    }
    fixed = TrialParameters(**values)
    used = banks_of_run(fixed.model_dump())
    assert set(used) == possible_banks(Space({}), fixed)
    for bank in used:
        assert values[f"{'simple' if bank.method in METHODS['simple'] else 'textattack'}_strength"] == bank.level
        for source in FAMILIES if bank.source != "original" else ():
            varied = sources_of_run(values, bank.source)
            assert (set(varied) == possible_sources(Space({}), fixed, source)) == (source == bank.source)
    choices = {name: {"choices": [value]} for name, value in values.items()}
    assert possible_banks(Space.model_validate(choices), TrialParameters()) == set(used)


@given(st.lists(masks["simple"], min_size=2, max_size=2, unique=True).map(sorted))
def test_a_range_of_masks_may_use_every_method_of_one_of_them(ends: list[int]) -> None:
    low, high = ends
    space = Space.model_validate({"simple_mask": {"low": low, "high": high}})
    found = {bank.method for bank in possible_banks(space, TrialParameters(augmentation="simple"))}
    expected = {
        method for mask in range(low, high + 1) for bit, method in enumerate(METHODS["simple"]) if mask >> bit & 1
    }
    assert found == expected


BAD = [
    (
        {"training": {"parameters": {"augmentation_variants": 5}}},
        "augmentation_variants: 5 is more",
    ),
    (
        {"spaces": {"sample": {"augmentation_variants": {"low": 1, "high": 6}}}},
        "augmentation_variants: 6 is",
    ),
    ({"training": {"parameters": {"simple_mask": 0}}}, "simple_mask: 0: input should be greater than or equal to 1"),
    ({"training": {"parameters": {"simple_mask": 128}}}, "simple_mask: 128: input should be less than or equal to 127"),
    ({"spaces": {"sample": {"textattack_mask": {"choices": [0, 1]}}}}, "textattack_mask: 0: Input should be greater"),
    ({"spaces": {"sample": {"simple_strength": {"low": 0, "high": 4}}}}, "simple_strength: 4"),
    ({"training": {"parameters": {"augmentation": "simpel"}}}, "augmentation: 'simpel'"),
    ({"spaces": {"sample": {"simple_mask": {"choices": [1, 2]}}}}, "acts on nothing, because augmentation is never"),
]


@pytest.mark.parametrize(("changes", "expected"), BAD, ids=[message[:40] for _, message in BAD])
def test_what_cannot_be_is_refused_before_anything_runs(changes: dict[str, Any], expected: str) -> None:
    raw = merge(default_configuration().model_dump(mode="json"), changes)
    with pytest.raises(ConfigurationError) as error:
        load_configuration(raw)
    assert expected in str(error.value)


def test_more_variants_need_larger_banks_and_no_more() -> None:
    changes = {"training": {"parameters": {"augmentation_variants": 5}}, "augmentation": {"variants": 5}}
    configured = load_configuration(merge(default_configuration().model_dump(mode="json"), changes))
    assert configured.training.parameters.augmentation_variants == 5
