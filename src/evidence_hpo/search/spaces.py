"""The concrete search space of one architecture: an ordered list of dimensions, and how a point becomes parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
    """One dimension of a space. ``low`` and ``high`` (both included) are set for numbers, ``choices`` otherwise."""

    name: str
    kind: Literal["int", "float", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    note: str = ""

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
        return low <= float(value) <= high

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

    def to_json(self) -> dict[str, Any]:
        """Return the dimension as in ``space.json``."""
        if self.kind == "categorical":
            extent: dict[str, Any] = {"choices": list(self.choices)}
        else:
            extent = {"low": self.low, "high": self.high, "log": self.log}
        return {"name": self.name, "kind": self.kind, **extent, "note": self.note}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Dimension:
        """Return the dimension of an entry of ``space.json``."""
        return cls(**{**value, "choices": tuple(value.get("choices", ()))})


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
    kept, dropped = possible(_ordered(dimensions), fixed.model_dump())
    return SearchSpace(architecture, stage, "configured", tuple(kept), (*left_out, *dropped))


def _dimension(name: str, entry: Range | Choices) -> Dimension:
    when = parameter_conditions(name)
    where = " and ".join(f"{other} is {' or '.join(map(str, values))}" for other, values in when.items())
    note = f"as configured; acts where {where}" if when else "as configured"
    if isinstance(entry, Choices):
        return Dimension(name, "categorical", choices=entry.choices, note=note)
    kind = parameter_kind(name)
    low, high = (int(entry.low), int(entry.high)) if kind == "int" else (entry.low, entry.high)
    return Dimension(name, kind, low=low, high=high, log=entry.log, note=note)


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
    note = f"{len(pairs)} of {len(sizes) * len(steps)} pairs are distinct and give an allowed effective batch"
    return Dimension(BATCHING, "categorical", choices=tuple(pairs), note=note)


def _ordered(dimensions: Sequence[Dimension]) -> list[Dimension]:
    """Sort as the parameters are declared, whatever the order of the file, then conditions before what they govern."""
    declared = list(TrialParameters.model_fields)
    waiting = sorted(dimensions, key=lambda one: declared.index(_BATCH[0] if one.name == BATCHING else one.name))
    ordered: list[Dimension] = []
    while waiting:
        names = {dimension.name for dimension in waiting}
        ready = next((one for one in waiting if not names & set(_conditions(one.name))), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _conditions(name: str) -> dict[str, list[Any]]:
    return {} if name == BATCHING else parameter_conditions(name)


def possible(dimensions: Sequence[Dimension], fixed: Mapping[str, Any]) -> tuple[list[Dimension], list[str]]:
    """Return the dimensions that some point of the space activates, and a note for each that none does.

    Args:
        dimensions: In order; a dimension stands after those it depends on.
        fixed: Values of parameters that are not searched; one that is not listed restricts nothing.
    """
    kept: list[Dimension] = []
    dropped: list[str] = []
    for dimension in dimensions:
        for other, needed in _conditions(dimension.name).items():
            governing = next((one for one in dimensions if one.name == other), None)
            reachable = any(governing.contains(value) for value in needed) if governing else None
            if reachable is False or (reachable is None and other in fixed and fixed[other] not in needed):
                dropped.append(f"{dimension.name} is left out: {other} is never {' or '.join(map(str, needed))}")
                break
        else:
            kept.append(dimension)
    return kept, dropped


def is_active(dimension: Dimension, sampled: Mapping[str, Any], fixed: TrialParameters) -> bool:
    """Return whether a dimension acts, given the parameters sampled so far."""
    return all(sampled.get(o, getattr(fixed, o)) in needed for o, needed in _conditions(dimension.name).items())


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
