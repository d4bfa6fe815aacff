"""Section `run`: one training run outside the search."""

from __future__ import annotations

from pydantic import Field

from evidence_hpo.config.base import Section
from evidence_hpo.config.parameters import ArchitectureName

__all__ = ["RunSettings"]


class RunSettings(Section):
    """A run with the values of `training.parameters`, as `evidence-hpo train` makes it; no search depends on it."""

    architecture: ArchitectureName | None = Field(None, description="What is trained; null: the study's first.")
    epochs: int | None = Field(
        None, ge=1, le=1000, description="Epochs; null: `retrain.epochs`, or else as in the last stage."
    )
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed of the run itself; null: `study.seed`.")
    resume_from: str | None = Field(
        None,
        description=(
            "Folder of a run, `results/runs/<name>`, that this one goes on from; it may differ in its epochs and in "
            "early_stopping_patience alone."
        ),
    )
