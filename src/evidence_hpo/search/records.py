"""The records that the search writes and reads: proposals, trials, selections. Their schemas lie in ``schemas``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from evidence_hpo.config.base import Section
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_json, read_lines
from evidence_hpo.schemas import read_artefact

__all__ = [
    "Evaluation",
    "Origin",
    "Proposals",
    "ProposedTrial",
    "RungThreshold",
    "TrialRecord",
    "TrialState",
    "configuration_digest",
    "join_trials",
    "read_proposals",
    "read_trials",
]

TrialState = Literal["complete", "pruned", "failed"]


class RungThreshold(Section):
    """A point at which a trial is compared: below ``threshold`` it ends; null compares nothing."""

    epoch: float
    threshold: float | None


class Origin(Section):
    """The finished trial whose configuration is run again."""

    stage: str
    number: int


class ProposedTrial(Section):
    """One trial as proposed: everything that decides its result, beside what its round shares."""

    number: int
    seed: int
    sampled: dict[str, Any]
    """Parameters that the search chose."""
    parameters: dict[str, Any]
    """All parameters that act, the fixed ones included; ``gradient_accumulation_steps`` is a number."""
    rungs: tuple[RungThreshold, ...]
    origin: Origin | None = None


class Proposals(Section):
    """A round: the only thing that running trials read from the search."""

    study: str
    architecture: str
    stage: str
    round: int
    epochs: int
    data_fraction: float
    objective: str
    early_stopping_patience: int
    runtime: RuntimeSettings
    seed: int
    trials: tuple[ProposedTrial, ...]


class Evaluation(Section):
    """Losses and scores of training and validation at a point of a run; what is undefined there is null."""

    epoch: float
    train: dict[str, float | None]
    metrics: dict[str, float | None]


class TrialRecord(Section):
    """One finished trial."""

    study: str
    architecture: str
    stage: str
    round: int
    number: int
    key: str
    state: TrialState
    value: float | None
    sampled: dict[str, Any]
    parameters: dict[str, Any]
    seed: int
    epochs: int
    data_fraction: float
    rungs: tuple[RungThreshold, ...]
    origin: Origin | None
    objective: str
    early_stopping_patience: int
    runtime: RuntimeSettings
    evaluations: tuple[Evaluation, ...]
    best_epoch: float | None
    effective_batch_size: int
    effective_learning_rate: float
    reason: str | None
    precision: str
    notes: tuple[str, ...]
    digests: dict[str, Any]
    versions: dict[str, str]
    duration_seconds: float
    augmented: dict[str, int] = Field(default_factory=dict)
    """Variants among the training examples, by task; empty without augmentation."""

    @model_validator(mode="after")
    def _complete_has_a_value(self) -> TrialRecord:
        if self.state == "complete" and self.value is None:
            raise ValueError("a complete trial has a value")
        return self

    @property
    def score(self) -> float:
        """Value of a complete trial."""
        assert self.state == "complete"
        assert self.value is not None
        return self.value

    @property
    def epochs_spent(self) -> float:
        """Epochs up to the last evaluation."""
        return self.evaluations[-1].epoch if self.evaluations else 0.0

    @property
    def last_value(self) -> float | None:
        """Objective at the last evaluation."""
        return self.evaluations[-1].metrics.get(self.objective) if self.evaluations else None

    def value_at(self, epoch: float) -> float | None:
        """Return the objective at the rung ``epoch``, or None if the trial ended before it.

        A rung within an epoch is evaluated at the first optimiser step that reaches it, so the first evaluation
        at or after the rung is the rung's.
        """
        at = next((one for one in self.evaluations if one.epoch >= epoch - 1e-6), None)
        return at.metrics.get(self.objective) if at is not None else None


def configuration_digest(trial: TrialRecord) -> str:
    """Return a digest that is equal for two trials exactly if all parameters that act are equal."""
    return digest_json(trial.parameters)


def read_proposals(path: Path) -> Proposals:
    """Read the proposals of a round.

    Raises:
        DataError: The file is missing or breaks its schema.
    """
    return Proposals.model_validate(read_artefact(path, "proposals"))


def read_trials(paths: Sequence[Path]) -> list[TrialRecord]:
    """Read finished trials from shards, sorted by number whatever the order of the files.

    Raises:
        DataError: A file is missing or breaks its schema, or two lines hold the same trial.
    """
    return join_trials([list(_trials_of(path)) for path in paths])


def join_trials(shards: Iterable[Sequence[TrialRecord]]) -> list[TrialRecord]:
    """Return the trials of several shards, sorted by number.

    Raises:
        DataError: Two shards hold the same trial.
    """
    trials = [trial for shard in shards for trial in shard]
    trials.sort(key=lambda trial: trial.number)
    _check_unique(trials)
    return trials


def _trials_of(path: Path) -> Iterable[TrialRecord]:
    # The JSON schema was checked when the file was written; here the types are, which is thirty times as fast.
    for number, row in enumerate(read_lines(path), start=1):
        try:
            yield TrialRecord.model_validate_json(row, strict=True)
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "(top level)"
            raise DataError(f"{path}: line {number}: {key}: {first['msg']}") from error


def _check_unique(trials: Sequence[TrialRecord]) -> None:
    for one, other in itertools.pairwise(trials):
        if one.number == other.number:
            raise DataError(
                f"trial {one.number} of {one.architecture}/{one.stage} is in two shards; delete the folders "
                f"round_{one.round} and round_{other.round} of the stage and run again"
            )
