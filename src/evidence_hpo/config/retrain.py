"""Section `retrain`: the final choice under noise."""

from __future__ import annotations

from pydantic import Field

from evidence_hpo.config.base import Section

__all__ = ["RetrainSettings"]


class RetrainSettings(Section):
    """Top configurations are trained again with several seeds; the best mean wins, and is reported on fresh seeds."""

    top_k: int = Field(5, ge=1, le=50, description="Best configurations of the last stage that are retrained.")
    seeds: int = Field(3, ge=1, le=50, description="Seeds of each configuration, to choose by the mean.")
    final_seeds: int = Field(
        3, ge=1, le=50, description="Fresh seeds of the chosen configuration, which the report uses."
    )
    refit_seeds: int = Field(
        0,
        ge=0,
        le=50,
        description="Models of the chosen configuration trained on training and validation posts together; 0: none.",
    )
    epochs: int | None = Field(None, ge=1, le=1000, description="Epochs; null: as in the last stage.")
