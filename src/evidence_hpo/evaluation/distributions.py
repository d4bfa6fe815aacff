"""What was tried of a searched parameter, as Optuna describes it: a distribution that is wide enough for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from evidence_hpo.files import canonical_json

__all__ = ["distribution_of", "stored_value"]


def stored_value(value: Any) -> Any:
    """Return a value as Optuna can hold it: a list, as the widths of a head's layers, becomes its JSON."""
    return canonical_json(value) if isinstance(value, (list, tuple, dict)) else value


def distribution_of(values: Iterable[Any], dimension: Mapping[str, Any] | None) -> BaseDistribution:
    """Return the distribution of a parameter, widened to the values tried: re-run trials may lie outside the space.

    Args:
        values: What was tried, as :func:`stored_value` gives it.
        dimension: The parameter's entry of ``space.json``; None for one that is a part of an entry.
    """
    known = set(values)
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)
    if dimension is None or dimension["kind"] == "categorical" or not numbers:
        return CategoricalDistribution(sorted(known, key=lambda value: (type(value).__name__, value)))
    low, high = min([*known, dimension["low"]]), max([*known, dimension["high"]])
    if dimension["kind"] == "int":
        return IntDistribution(int(low), int(high), log=dimension["log"])
    return FloatDistribution(float(low), float(high), log=dimension["log"])
