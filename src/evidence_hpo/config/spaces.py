"""Section `spaces`: named search spaces, each a map from a trial parameter to a range or to choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, RootModel, Tag, ValidationError, field_validator, model_validator

from evidence_hpo.config.base import Section, suggestion
from evidence_hpo.config.parameters import (
    TrialParameters,
    parameter_adapter,
    parameter_kind,
    resolved_accumulation,
)

__all__ = ["Choices", "Entry", "Range", "Space"]


class Range(Section):
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


class Choices(Section):
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
            problems = _batch_problems(checked)
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
    return entry if isinstance(entry, Range) else Choices(choices=tuple(values))


def _batch_problems(space: dict[str, Range | Choices]) -> list[str]:
    for name in ("batch_size", "gradient_accumulation_steps"):
        if isinstance(space.get(name), Range):
            return [f"{name}: takes choices, not a range (their product must be an allowed effective batch)"]
    sizes, steps = space.get("batch_size"), space.get("gradient_accumulation_steps")
    if isinstance(sizes, Choices) and isinstance(steps, Choices):
        for size in sizes.choices:
            if all(resolved_accumulation(size, step) is None for step in steps.choices):
                return [f"batch_size: {size} fits none of the gradient_accumulation_steps {list(steps.choices)}"]
    return []
