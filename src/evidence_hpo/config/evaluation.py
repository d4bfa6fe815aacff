"""Section `evaluation`: the one look at the test split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evidence_hpo.config.base import Section

__all__ = ["EvaluationSettings"]


class EvaluationSettings(Section):
    """How the chosen models are scored."""

    bootstrap_repeats: int = Field(2000, ge=100, le=100000, description="Resamples (of posts) behind each interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1.0, description="Level of the intervals.")
    thresholds: Literal["none", "global", "per_criterion"] = Field(
        "global",
        description="Which thresholds, tuned on the validation split, the headline numbers use; all are reported.",
    )
