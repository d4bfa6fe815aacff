"""Section `spaces`: named search spaces, each a map from a trial parameter to a range or to choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, RootModel, Tag, ValidationError, field_validator, model_validator

from evidence_hpo.config.base import Section, suggestion
from evidence_hpo.config.parameters import (
    TrialParameters,
    parameter_adapter,
    parameter_conditions,
    parameter_kind,
    resolved_accumulation,
)

__all__ = ["Choices", "Entry", "Range", "Space"]


_BATCH = ("batch_size", "gradient_accumulation_steps")


class _Conditional(Section):
    """What all entries have."""

    when: dict[str, tuple[Any, ...]] = Field(
        {},
        description=(
            "Other parameters and the values of theirs under which this one is sampled; elsewhere the value of "
            "training.parameters acts."
        ),
    )

    @field_validator("when")
    @classmethod
    def _not_empty(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for other, needed in value.items():
            if not needed:
                raise ValueError(f"{other}: [] can never hold; list at least one value")
        return value


class Range(_Conditional):
    """An interval of a numeric parameter, both ends included."""

    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")
    log: bool = Field(False, description="Sample on a logarithmic scale.")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be above 0 on a logarithmic scale")
        return self


class Choices(_Conditional):
    """A finite set of values."""

    choices: tuple[Any, ...] = Field(min_length=1, description="The values.")

    @field_validator("choices")
    @classmethod
    def _unique(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len({repr(choice) for choice in value}) != len(value):
            raise ValueError("a choice is listed twice")
        return value


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "choices:" if "choices" in value else "range"
    return "choices:" if isinstance(value, Choices) else "range"


Entry = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices:")],
    Discriminator(_kind),
]


class Space(RootModel[dict[str, Entry]]):
    """A search space; its keys are parameters of a run."""

    @model_validator(mode="after")
    def _check(self) -> Space:
        checked: dict[str, Range | Choices] = {}
        problems: list[str] = []
        for name, entry in self.root.items():
            try:
                checked[name] = _checked_entry(name, entry)
            except ValueError as error:
                problems.append(str(error))
        if not problems:
            problems = [*_batch_problems(checked), *_condition_problems(checked)]
        if problems:
            raise ValueError("; ".join(problems))
        self.root.update(checked)
        return self


def _checked_entry(name: str, entry: Range | Choices) -> Range | Choices:
    if name not in TrialParameters.model_fields:
        raise ValueError(f"{name}: no such parameter{suggestion(name, TrialParameters.model_fields)}")
    adapter = parameter_adapter(name)
    values = [entry.low, entry.high] if isinstance(entry, Range) else list(entry.choices)
    if isinstance(entry, Range) and parameter_kind(name) == "categorical":
        raise ValueError(f"{name}: takes choices, not a range")
    try:
        values = [adapter.validate_python(value) for value in values]
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{name}: {first['input']!r}: {first['msg']}") from error
    when = {other: _checked_values(name, other, needed) for other, needed in entry.when.items()}
    if isinstance(entry, Range):
        return entry.model_copy(update={"when": when})
    return Choices(choices=tuple(values), when=when)


def _checked_values(name: str, other: str, needed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values of a condition as the other parameter takes them."""
    key = f"{name}.when.{other}"
    if other not in TrialParameters.model_fields:
        raise ValueError(f"{key}: no such parameter{suggestion(other, TrialParameters.model_fields)}")
    try:
        return tuple(parameter_adapter(other).validate_python(value) for value in needed)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{key}: {first['input']!r}: {first['msg']}") from error


def _condition_problems(space: dict[str, Range | Choices]) -> list[str]:
    problems = [
        problem
        for name, entry in space.items()
        for other, needed in entry.when.items()
        if (problem := _condition_problem(f"{name}.when.{other}", space.get(other), other, needed)) is not None
    ]
    if not problems and (cycle := _cycle(space)):
        problems.append(
            f"{cycle[0]}.when: {' depends on '.join(cycle)}; no parameter can be sampled first, so remove a condition"
        )
    return problems


def _condition_problem(key: str, governing: Range | Choices | None, other: str, needed: tuple[Any, ...]) -> str | None:
    """Return what is wrong with a condition on a parameter that the space searches."""
    if isinstance(governing, Range) and parameter_kind(other) == "float":
        return f"{key}: {other} is drawn from an interval of real numbers, which hits no value; give it choices"
    if governing is None or governing.when:  # its fixed value counts as well, and is checked with training.parameters
        return None
    for value in needed:
        if isinstance(governing, Choices) and value not in governing.choices:
            return f"{key}: {value!r} is none of its choices {list(governing.choices)}; name values that it can take"
        if isinstance(governing, Range) and (isinstance(value, list) or not governing.low <= value <= governing.high):
            return f"{key}: {value!r} is not within {governing.low:g} to {governing.high:g}; name values it can take"
    return None


def _cycle(space: dict[str, Range | Choices]) -> list[str]:
    """Return parameters that depend on each other in a circle, the first one again at the end; empty: there are none.

    The parameters' own conditions count as well, and batch size and accumulation steps, which are drawn together, as
    one.
    """
    needs = {name: [*entry.when, *parameter_conditions(name)] for name, entry in space.items()}
    for name in _BATCH:
        needs.setdefault(name, []).extend(other for one in _BATCH if one in space for other in space[one].when)
    paths = [[name] for name in reversed(space)]
    while paths:
        path = paths.pop()
        for other in needs.get(path[-1]) or parameter_conditions(path[-1]):
            if other == path[0] or {other, path[0]} == set(_BATCH):
                return [*path, path[0]]
            if other not in path:
                paths.append([*path, other])
    return []


def _batch_problems(space: dict[str, Range | Choices]) -> list[str]:
    for name in _BATCH:
        if isinstance(space.get(name), Range):
            return [f"{name}: takes choices, not a range (their product must be an allowed effective batch)"]
    sizes, steps = space.get("batch_size"), space.get("gradient_accumulation_steps")
    if isinstance(sizes, Choices) and isinstance(steps, Choices):
        for size in sizes.choices:
            if all(resolved_accumulation(size, step) is None for step in steps.choices):
                return [f"batch_size: {size} fits none of the gradient_accumulation_steps {list(steps.choices)}"]
        if sizes.when != steps.when:
            return ["batch_size.when: is drawn together with gradient_accumulation_steps; give both the same `when`"]
    return []
