"""Which banks of augmented sentences the parameters of a run, or of all runs of a space, use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evidence_hpo.config.augmentation import methods_of_mask
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.policies import ORIGINAL, POLICIES
from evidence_hpo.config.spaces import Choices, Space

__all__ = [
    "UNVARIED",
    "Bank",
    "Variation",
    "banks_of_run",
    "possible_banks",
    "possible_sources",
    "sources_of_run",
]


class Variation(NamedTuple):
    """A method at one of its levels of strength."""

    method: str
    level: int


UNVARIED = Variation("", -1)
"""What a sentence of the source `original` was varied by before."""


class Bank(NamedTuple):
    """A bank of one task: variants that ``method`` makes at ``level`` of the sentences of ``source``.

    The source is ``original``, or the family whose variants are varied once more.
    """

    source: str
    method: str
    level: int

    def __str__(self) -> str:
        """Return the bank's folder below its task."""
        return f"{self.source}/{self.method}/level_{self.level}"


def banks_of_run(parameters: Mapping[str, Any]) -> list[Bank]:
    """Return the banks that a run takes variants from, sorted.

    Args:
        parameters: The parameters that act in the run.
    """
    return sorted(
        Bank(source, *variation)
        for source, family in POLICIES[parameters["augmentation"]]
        for variation in _variations_of_run(parameters, family)
    )


def sources_of_run(parameters: Mapping[str, Any], source: str) -> list[Variation]:
    """Return how the sentences of a bank's source may have been varied before, sorted.

    Args:
        parameters: The parameters that act in the run.
        source: Source of one of its banks.
    """
    return [UNVARIED] if source == ORIGINAL else _variations_of_run(parameters, source)


def _variations_of_run(parameters: Mapping[str, Any], family: str) -> list[Variation]:
    methods = methods_of_mask(family, parameters[f"{family}_mask"])
    return sorted(Variation(method, parameters[f"{family}_strength"]) for method in methods)


def possible_banks(space: Space, fixed: TrialParameters) -> set[Bank]:
    """Return the banks that some run of a space takes variants from.

    Args:
        space: What is searched.
        fixed: Values of the parameters that are not.
    """
    return {
        Bank(source, *variation)
        for source, family in _possible_pairs(space, fixed)
        for variation in _possible_variations(space, fixed, family)
    }


def possible_sources(space: Space, fixed: TrialParameters, family: str) -> set[Variation]:
    """Return the variations of ``family`` whose results some run of a space has varied once more."""
    if all(source != family for source, _ in _possible_pairs(space, fixed)):
        return set()
    return set(_possible_variations(space, fixed, family))


def _possible_pairs(space: Space, fixed: TrialParameters) -> set[tuple[str, str]]:
    return {pair for policy in _possible(space, fixed, "augmentation") for pair in POLICIES[policy]}


def _possible_variations(space: Space, fixed: TrialParameters, family: str) -> Iterable[Variation]:
    levels = sorted(_possible(space, fixed, f"{family}_strength"))
    methods = methods_of_mask(family, _possible_bits(space, fixed, f"{family}_mask"))
    return [Variation(method, level) for method in methods for level in levels]


def _possible(space: Space, fixed: TrialParameters, parameter: str) -> set[Any]:
    """Return the values that a parameter of few values can have in a run of the space."""
    entry = space.root.get(parameter)
    if entry is None:
        return {getattr(fixed, parameter)}
    values = set(entry.choices if isinstance(entry, Choices) else range(int(entry.low), int(entry.high) + 1))
    return values | {getattr(fixed, parameter)} if entry.when else values


def _possible_bits(space: Space, fixed: TrialParameters, parameter: str) -> int:
    """Return the bits that are set in some mask that a run of the space can have."""
    entry = space.root.get(parameter)
    bits: int = getattr(fixed, parameter) if entry is None or entry.when else 0
    if isinstance(entry, Choices):
        for mask in entry.choices:
            bits |= mask
    elif entry is not None:
        low, high = int(entry.low), int(entry.high)
        # Below the first bit in which the two ends differ, the numbers between them take every value.
        bits |= high | ((1 << (low ^ high).bit_length()) - 1)
    return bits
