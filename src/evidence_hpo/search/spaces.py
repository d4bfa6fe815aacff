"""The concrete search space of one architecture: an ordered list of dimensions, and how a point becomes parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from evidence_hpo.config.augmentation import METHODS, methods_of_mask
from evidence_hpo.config.parameters import (
    EFFECTIVE_BATCH_SIZES,
    TrialParameters,
    active_parameters,
    parameter_conditions,
    parameter_kind,
    parameter_names,
    resolved_accumulation,
)
from evidence_hpo.config.spaces import Choices, Range, Space
from evidence_hpo.errors import ConfigurationError

__all__ = [
    "BATCHING",
    "Dimension",
    "SearchSpace",
    "concrete_space",
    "conditions",
    "holds",
    "is_active",
    "parameters_of",
    "possible",
    "resolve",
    "sampled_value",
]

BATCHING = "batching"
"""The dimension whose choices are pairs of batch size and accumulation steps that rule O10 allows."""

_BATCH = ("batch_size", "gradient_accumulation_steps")


@dataclass(frozen=True)
class Dimension:
    """One dimension of a space. ``low`` and ``high`` (both included) are set for numbers, ``choices`` otherwise.

    ``when`` holds the configured conditions, values by the parameter they are on; what the parameter itself needs to
    act (:func:`conditions`) comes on top.
    """

    name: str
    kind: Literal["int", "float", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    note: str = ""
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends of a numeric dimension."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    def contains(self, value: Any) -> bool:
        """Return whether the dimension can take ``value``."""
        if self.kind == "categorical":
            return value in self.choices
        low, high = self.bounds
        return isinstance(value, int | float) and low <= value <= high

    def at(self, position: float) -> Any:
        """Return the value at ``position`` in [0, 1): equal shares for choices and whole numbers."""
        if self.kind == "categorical":
            return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]
        low, high = self.bounds
        if self.kind == "int":
            low, high = low - 0.5, high + 0.5
        value = _between(low, high, position, self.log)
        low, high = self.bounds
        return int(min(max(math.floor(value + 0.5), low), high)) if self.kind == "int" else min(max(value, low), high)

    def spaced(self, count: int) -> list[Any]:
        """Return all choices, or ``count`` numbers at even distances on the dimension's scale, both ends included.

        Whole numbers are at most as many as there are, each once.
        """
        if self.kind == "categorical":
            return list(self.choices)
        low, high = self.bounds
        if low == high:
            return [self.at(0.0)]
        if self.kind == "int":
            count = min(count, int(high) - int(low) + 1)
        inner = [_between(low, high, index / (count - 1), self.log) for index in range(1, count - 1)]
        values = [low, *inner, high]
        return list(dict.fromkeys(math.floor(value + 0.5) for value in values)) if self.kind == "int" else values

    def to_json(self) -> dict[str, Any]:
        """Return the dimension as in ``space.json``."""
        if self.kind == "categorical":
            extent: dict[str, Any] = {"choices": list(self.choices)}
        else:
            extent = {"low": self.low, "high": self.high, "log": self.log}
        when = {other: list(needed) for other, needed in self.when.items()}
        return {"name": self.name, "kind": self.kind, **extent, "when": when, "note": self.note}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Dimension:
        """Return the dimension of an entry of ``space.json``."""
        when = {other: tuple(needed) for other, needed in value.get("when", {}).items()}
        return cls(**{**value, "choices": tuple(value.get("choices", ())), "when": when})


def _between(low: float, high: float, position: float, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
    return low + position * (high - low)


@dataclass(frozen=True)
class SearchSpace:
    """The dimensions of one architecture in one stage; a dimension stands after those that its activity depends on."""

    architecture: str
    stage: str
    source: Literal["configured", "narrowed"]
    dimensions: tuple[Dimension, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``space.json``."""
        return {
            "architecture": self.architecture,
            "stage": self.stage,
            "source": self.source,
            "dimensions": [dimension.to_json() for dimension in self.dimensions],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SearchSpace:
        """Return the space of a ``space.json``."""
        dimensions = tuple(Dimension.from_json(dimension) for dimension in value["dimensions"])
        return cls(**{**value, "dimensions": dimensions, "notes": tuple(value["notes"])})


def concrete_space(space: Space, fixed: TrialParameters, architecture: str, stage: str) -> SearchSpace:
    """Return the dimensions of a configured space that can act on an architecture.

    Args:
        space: The configured space, shared by all architectures.
        fixed: Values of the parameters that it does not search.
        architecture: Name of the architecture.
        stage: Name of the stage.

    Raises:
        ConfigurationError: No pair of batch size and accumulation steps is allowed.
    """
    acting = set(parameter_names(architecture))
    left_out = [f"{name} acts on nothing in {architecture}: left out" for name in space.root if name not in acting]
    dimensions = [_dimension(name, entry) for name, entry in space.root.items() if name in acting - set(_BATCH)]
    if any(name in space.root for name in _BATCH):
        dimensions.append(_batching(space, fixed))
    # A parameter that the architecture does not have has no value there, so no condition on it holds.
    values: dict[str, Any] = {name: value if name in acting else None for name, value in fixed.model_dump().items()}
    kept, dropped = possible(_ordered(dimensions), values)
    return SearchSpace(architecture, stage, "configured", tuple(kept), (*left_out, *dropped))


def _dimension(name: str, entry: Range | Choices) -> Dimension:
    if isinstance(entry, Choices):
        dimension = Dimension(name, "categorical", choices=entry.choices, when=entry.when)
    else:
        kind = parameter_kind(name)
        low, high = (int(entry.low), int(entry.high)) if kind == "int" else (entry.low, entry.high)
        dimension = Dimension(name, kind, low=low, high=high, log=entry.log, when=entry.when)
    return replace(dimension, note=f"as configured{_acts_where(dimension)}{_methods(dimension)}")


def _methods(dimension: Dimension) -> str:
    """Name the methods that a mask stands for."""
    family = dimension.name.removesuffix("_mask")
    if family == dimension.name:
        return ""
    if dimension.kind == "int":
        known = METHODS[family][: int(dimension.bounds[1]).bit_length()]
        meanings = [f"{1 << bit} {method}" for bit, method in enumerate(known)]
        return f"; its bits: {', '.join(meanings)}"
    meanings = [f"{mask} is {', '.join(methods_of_mask(family, mask))}" for mask in dimension.choices]
    return f"; {'; '.join(meanings)}"


def _acts_where(dimension: Dimension) -> str:
    where = [f"{other} is {_any_of(needed)}" for other, needed in conditions(dimension)]
    return f"; acts where {' and '.join(where)}" if where else ""


def _any_of(values: Sequence[Any]) -> str:
    return " or ".join(map(str, values))


def _batching(space: Space, fixed: TrialParameters) -> Dimension:
    values = fixed.model_dump()
    sizes, steps = (
        entry.choices if isinstance(entry := space.root.get(name), Choices) else (values[name],) for name in _BATCH
    )
    pairs: list[dict[str, int]] = []
    for size in sizes:
        for step in steps:
            resolved = resolved_accumulation(size, step)
            pair = {"batch_size": int(size), "gradient_accumulation_steps": resolved or 0}
            if resolved is not None and pair not in pairs:
                pairs.append(pair)
    if not pairs:
        allowed = ", ".join(map(str, EFFECTIVE_BATCH_SIZES))
        raise ConfigurationError(
            f"space: no batch_size {list(sizes)} with gradient_accumulation_steps {list(steps)} gives an effective "
            f"batch of {allowed}; add a value to one of the two"
        )
    when = next(entry.when for name in _BATCH if (entry := space.root.get(name)) is not None)
    dimension = Dimension(BATCHING, "categorical", choices=tuple(pairs), when=when)
    note = f"{len(pairs)} of {len(sizes) * len(steps)} pairs are distinct and give an allowed effective batch"
    return replace(dimension, note=note + _acts_where(dimension))


def _ordered(dimensions: Sequence[Dimension]) -> list[Dimension]:
    """Sort as the parameters are declared, whatever the order of the file, then conditions before what they govern."""
    declared = list(TrialParameters.model_fields)
    waiting = sorted(dimensions, key=lambda one: declared.index(_BATCH[0] if one.name == BATCHING else one.name))
    ordered: list[Dimension] = []
    while waiting:
        names = {name for dimension in waiting for name in _parameters(dimension)}
        ready = next(one for one in waiting if not names & _relied_on(other for other, _ in conditions(one)))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _relied_on(parameters: Iterable[str]) -> set[str]:
    """Return the parameters and those that decide whether they act, and so on."""
    found: set[str] = set()
    for name in parameters:
        found |= {name} | _relied_on(parameter_conditions(name))
    return found


def _parameters(dimension: Dimension) -> tuple[str, ...]:
    return _BATCH if dimension.name == BATCHING else (dimension.name,)


def conditions(dimension: Dimension) -> list[tuple[str, Sequence[Any]]]:
    """Return ``(other parameter, values)`` pairs, all of which must hold for the dimension to act.

    First those of the parameter itself, then the configured ones.
    """
    own = {} if dimension.name == BATCHING else parameter_conditions(dimension.name)
    return [*own.items(), *dimension.when.items()]


def possible(dimensions: Sequence[Dimension], fixed: Mapping[str, Any]) -> tuple[list[Dimension], list[str]]:
    """Return the dimensions that some point of the space activates, and a note for each that none does.

    Args:
        dimensions: In order; a dimension stands after those it depends on.
        fixed: Values of parameters that are not searched; one that is not listed restricts nothing.
    """
    kept: list[Dimension] = []
    dropped: list[str] = []
    for dimension in dimensions:
        for other, needed in conditions(dimension):
            if not _can_hold(other, needed, dimensions, kept, fixed):
                dropped.append(f"{dimension.name} is left out: {other} is never {_any_of(needed)}")
                break
        else:
            kept.append(dimension)
    return kept, dropped


def _can_hold(
    other: str,
    needed: Sequence[Any],
    dimensions: Sequence[Dimension],
    kept: Sequence[Dimension],
    fixed: Mapping[str, Any],
) -> bool:
    """Return whether a parameter can have one of the values: sampled, or fixed where it is not sampled."""
    governing = next((one for one in dimensions if other in _parameters(one)), None)
    if governing in kept:
        assert governing is not None
        if any(_takes(governing, other, value) for value in needed):
            return True
        if not governing.when:
            return False
    return other not in fixed or fixed[other] in needed


def _takes(dimension: Dimension, parameter: str, value: Any) -> bool:
    if dimension.name == BATCHING:
        return any(pair[parameter] == value for pair in dimension.choices)
    return dimension.contains(value)


def is_active(dimension: Dimension, sampled: Mapping[str, Any], fixed: TrialParameters) -> bool:
    """Return whether a dimension acts, given the parameters sampled so far."""
    return all(holds(other, needed, sampled, fixed) for other, needed in conditions(dimension))


def holds(other: str, needed: Sequence[Any], sampled: Mapping[str, Any], fixed: TrialParameters) -> bool:
    """Return whether a parameter has one of the values; one that acts on nothing here has none."""
    if other in sampled:
        return sampled[other] in needed
    own = parameter_conditions(other)
    return getattr(fixed, other) in needed and all(holds(one, values, sampled, fixed) for one, values in own.items())


def parameters_of(dimension: Dimension, value: Any) -> dict[str, Any]:
    """Return the parameters that a value of a dimension sets."""
    return dict(value) if dimension.name == BATCHING else {dimension.name: value}


def sampled_value(dimension: Dimension, sampled: Mapping[str, Any]) -> Any | None:
    """Return the value of a dimension in a trial's sampled parameters, or None if the dimension did not act."""
    if dimension.name != BATCHING:
        return sampled.get(dimension.name)
    if not all(name in sampled for name in _BATCH):
        return None
    return {name: sampled[name] for name in _BATCH}


def resolve(fixed: TrialParameters, sampled: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Return all parameters that act in a run, ``gradient_accumulation_steps`` as a number.

    Raises:
        ConfigurationError: The values together are not allowed.
    """
    values = {**fixed.model_dump(), **sampled}
    steps = resolved_accumulation(values["batch_size"], values["gradient_accumulation_steps"])
    if steps is None:
        raise ConfigurationError(
            f"batch_size {values['batch_size']} with gradient_accumulation_steps "
            f"{values['gradient_accumulation_steps']} gives no allowed effective batch"
        )
    values["gradient_accumulation_steps"] = steps
    return {name: values[name] for name in active_parameters(values, architecture)}
