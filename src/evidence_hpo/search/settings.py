"""Settings of the search's steps: each holds what its step really uses, so that a change reruns nothing else."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import Field

from evidence_hpo.config.base import Section
from evidence_hpo.config.parameters import ArchitectureName, TrialParameters
from evidence_hpo.config.search import PrunerSettings, SamplerName, SearchSettings
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.training import RuntimeSettings, TrainingSettings

__all__ = ["ProposalSettings", "RetrainRunSettings", "SingleRunSettings"]


class ProposalSettings(Section):
    """Settings of ``propose_trials``: one round of one stage of one architecture."""

    study: str
    seed: int
    architecture: ArchitectureName
    stage: str
    round: int = Field(ge=0)
    first_number: int = Field(ge=0, description="Trials of the stage's earlier rounds; number of the first one here.")
    count: int = Field(ge=1, description="Trials of this round.")
    first: Literal["sampler", "rerun"] = Field(description="What round 0 is made of.")
    sampler: SamplerName
    grid_points: int | None = Field(ge=2, description="Values of a number in a grid; null with another sampler.")
    pruner: PrunerSettings
    epochs: int = Field(ge=1)
    data_fraction: float = Field(gt=0.0, le=1.0)
    objective: str
    early_stopping_patience: int = Field(ge=0)
    runtime: RuntimeSettings
    parameters: TrialParameters = Field(description="Values of the parameters that are not searched.")

    @classmethod
    def of_round(
        cls,
        study: StudySettings,
        training: TrainingSettings,
        search: SearchSettings,
        architecture: str,
        stage: str,
        round_: int,
    ) -> ProposalSettings:
        """Return the settings of one round, cut from the sections of the configuration."""
        settings = next(one for one in search.stages_for(architecture) if one.name == stage)
        sizes = settings.round_sizes
        return cls(
            study=study.name,
            seed=study.seed,
            architecture=cast("ArchitectureName", architecture),
            stage=stage,
            round=round_,
            first_number=sum(sizes[:round_]),
            count=sizes[round_],
            first="sampler" if settings.space is not None else "rerun",
            sampler=settings.sampler,
            grid_points=settings.grid_points if settings.sampler == "grid" else None,
            pruner=settings.pruner.model_copy(update={"rungs": settings.pruner.rungs_within(settings.epochs)}),
            epochs=settings.epochs,
            data_fraction=settings.data_fraction,
            objective=search.objective.of(architecture),
            early_stopping_patience=training.early_stopping_patience,
            runtime=training.runtime,
            parameters=training.parameters,
        )


class RetrainRunSettings(Section):
    """Settings of ``retrain_config``, ``retrain_chosen`` and ``refit_chosen``."""

    study: str
    seed: int
    epochs: int | None = Field(None, ge=1, description="Epochs; null: as in the last stage.")


class SingleRunSettings(Section):
    """Settings of ``train_model``: one run outside the search."""

    study: str
    architecture: ArchitectureName
    parameters: dict[str, Any] = Field(description="All that act in the run.")
    seed: int
    epochs: int = Field(ge=1)
    objective: str
    early_stopping_patience: int = Field(ge=0)
    runtime: RuntimeSettings
    resume_from: str | None = None
