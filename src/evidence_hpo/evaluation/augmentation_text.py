"""What a configuration's augmentation means, in one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evidence_hpo.config.augmentation import FAMILIES, methods_of_mask
from evidence_hpo.config.policies import POLICIES, policies_with

__all__ = ["augmentation_text"]

_HOW = {
    "simple": "{simple}",
    "textattack": "{textattack}",
    "simple_then_textattack": "{simple}, varied once more by {textattack}",
    "textattack_then_simple": "{textattack}, varied once more by {simple}",
    "one_of": "{simple}, or by {textattack}",
}
assert set(_HOW) == set(POLICIES) - {"none"}


def augmentation_text(parameters: Mapping[str, Any]) -> str:
    """Return how the training examples were augmented; empty where they were not.

    Args:
        parameters: The parameters that act in the run.
    """
    policy = parameters.get("augmentation", "none")
    if policy == "none":
        return ""
    by = {family: _methods(parameters, family) for family in FAMILIES if policy in policies_with(family)}
    most, share = parameters["augmentation_variants"], parameters["augmentation_probability"]
    place = "beside" if parameters["augmentation_mode"] == "add" else "in the place of"
    nulls = "Altered posts were also shown with criteria that they do not meet. "
    return (
        f"Trained with augmentation: of {share:.0%} of the evidence sentences of the training examples at most {most} "
        f"variant{'s' if most > 1 else ''} each, by {_HOW[policy].format(**by)}, {place} the examples themselves. "
        f"{nulls if parameters.get('augmentation_nulls') else ''}Validation and test examples are never varied."
    )


def _methods(parameters: Mapping[str, Any], family: str) -> str:
    names = methods_of_mask(family, parameters[f"{family}_mask"])
    return f"{' or '.join(names)} ({family}, strength level {parameters[f'{family}_strength']})"
