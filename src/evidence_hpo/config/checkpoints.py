"""Section `training.checkpoints`: which files a running run keeps on the disk. No setting here changes a number."""

from __future__ import annotations

import os

from pydantic import Field, ValidationError, model_validator

from evidence_hpo.config.base import Section
from evidence_hpo.errors import ConfigurationError

__all__ = ["CHECKPOINTS_VARIABLE", "CheckpointSettings"]

CHECKPOINTS_VARIABLE = "EVIDENCE_HPO_CHECKPOINTS"
"""Environment variable by which the workflow hands these settings to its jobs.

They are no params of a rule, because a changed param runs a rule again, and these settings change none of its numbers.
"""


class CheckpointSettings(Section):
    """Resume points of a running run, and the weights that a finished one leaves behind."""

    min_interval_epochs: int = Field(
        1, ge=1, le=1000, description="Epochs between two resume points; a run that is asked to end writes one more."
    )
    keep_last_n: int = Field(
        2, ge=1, le=100, description="Resume points kept; where the newest is damaged, the one before takes its place."
    )
    keep_best_k: int = Field(
        1,
        ge=1,
        le=100,
        description="Best epochs of a retrained run whose weights are kept; more than 1: in `model/checkpoints`.",
    )
    keep_best_k_max: int = Field(
        2,
        ge=1,
        le=100,
        description="Most weights kept where epochs tie for the last place; acts where `keep_best_k` is more than 1.",
    )
    max_total_size_gb: float = Field(
        10.0,
        gt=0.0,
        description=(
            "Size of a run's files; above it the oldest resume points go, then the worst of the best weights. While "
            "a resume point is written, the one before stays."
        ),
    )
    disk_space_threshold_percent: float = Field(
        10.0,
        ge=0.0,
        lt=100.0,
        description=(
            "Free share of the disk below which a run keeps only its newest resume point and its best weights, and "
            "goes on without a new resume point that does not fit."
        ),
    )

    @model_validator(mode="after")
    def _check(self) -> CheckpointSettings:
        if self.keep_best_k > self.keep_best_k_max:
            raise ValueError(
                f"keep_best_k {self.keep_best_k} is more than keep_best_k_max {self.keep_best_k_max}; raise the latter"
            )
        return self

    @classmethod
    def of_environment(cls) -> CheckpointSettings:
        """Return the settings that the workflow handed to this job; the defaults in a step started by hand.

        Raises:
            ConfigurationError: The variable holds no such settings.
        """
        text = os.environ.get(CHECKPOINTS_VARIABLE)
        if text is None:
            return cls()
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigurationError(f"{CHECKPOINTS_VARIABLE}: {where} {first['msg']}".replace(":  ", ": ")) from error
