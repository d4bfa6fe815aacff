"""Records of retrained runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from evidence_hpo.config.base import Section
from evidence_hpo.search.records import Evaluation, Origin

__all__ = ["Checkpoint", "RetrainRecord", "Role", "SingleRunRecord", "by_seed"]

Role = Literal["retrain", "final", "refit", "single"]
"""retrain: chooses; final: is reported; refit: is trained on the training and validation posts together.

single: a run of its own, outside the search.
"""


class Checkpoint(Section):
    """The weights of a run: their folder, relative to the working directory, and the SHA-256 of the weights' file."""

    path: str
    sha256: str


class RetrainRecord(Section):
    """One retrained run. State ``absent``: the rank has no configuration; nothing was run.

    A refit has no value, best epoch or metrics, because nothing is left to judge it by.
    """

    study: str
    architecture: str
    role: Role
    rank: int
    seed_index: int
    seed: int
    state: Literal["complete", "failed", "absent"]
    origin: Origin | None
    search_value: float | None
    value: float | None
    best_epoch: float | None
    metrics: dict[str, float | None]
    parameters: dict[str, Any]
    epochs: int
    refit_epochs: int | None
    """Epochs after which a refit ended; None: no refit."""
    data_fraction: float
    objective: str
    evaluations: tuple[Evaluation, ...]
    effective_batch_size: int | None
    effective_learning_rate: float | None
    reason: str | None
    precision: str | None
    notes: tuple[str, ...]
    key: str | None
    digests: dict[str, Any]
    versions: dict[str, str]
    checkpoint: Checkpoint | None
    duration_seconds: float
    augmented: dict[str, int] = Field(default_factory=dict)
    """Variants among the training examples, by task; empty without augmentation."""


class SingleRunRecord(RetrainRecord):
    """A run outside the search.

    It has no origin and no search value. ``schedules`` are pairs (first epoch, epochs), as in ``training.spec``: more
    than one where the run went on after the end of another, which ``resumed_from`` names.
    """

    name: str
    schedules: tuple[tuple[int, int], ...]
    resumed_from: str | None


def by_seed(records: Sequence[RetrainRecord]) -> list[RetrainRecord]:
    """Return the records sorted by rank and seed, whatever the order of the files."""
    return sorted(records, key=lambda record: (record.rank, record.seed_index))
