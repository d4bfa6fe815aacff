"""The typed configuration of a study; the default values are the default study."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from evidence_hpo.config.augmentation import AugmentationSettings
from evidence_hpo.config.backbones import BackboneSettings, ScratchBackbone
from evidence_hpo.config.base import Section
from evidence_hpo.config.data import DataSettings
from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.retrain import RetrainSettings
from evidence_hpo.config.run import RunSettings
from evidence_hpo.config.search import PrunerSettings, SearchSettings, StageSettings
from evidence_hpo.config.spaces import Choices, Range, Space
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.config.training import TrainingSettings

__all__ = ["Configuration", "default_configuration"]


class Configuration(Section):
    """The whole configuration."""

    study: StudySettings = Field(StudySettings(), description="What is searched.")
    data: DataSettings = Field(DataSettings(), description="Corpus, splits and examples.")
    augmentation: AugmentationSettings = Field(
        AugmentationSettings(), description="Banks of augmented evidence sentences; made only if a run may use them."
    )
    backbones: dict[str, BackboneSettings] = Field(description="Encoders by name: hub, folder or scratch.")
    training: TrainingSettings = Field(TrainingSettings(), description="What every run shares.")
    spaces: dict[str, Space] = Field(description="Search spaces by name.")
    search: SearchSettings = Field(description="The stages of the search.")
    retrain: RetrainSettings = Field(RetrainSettings(), description="The final choice under noise.")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="The one look at the test split.")
    run: RunSettings = Field(RunSettings(), description="One run outside the search: `evidence-hpo train`.")
    tracking: TrackingSettings = Field(
        TrackingSettings(), description="Where runs are shown; changes no run. Secrets do not belong here."
    )
    overrides: dict[str, Any] = Field(
        {},
        description=(
            "Single values by their dotted keys, laid over everything above; an item of a list is named by its name or "
            "position, as search.stages.stage1.trials: 20."
        ),
    )


def default_configuration() -> Configuration:
    """Return the default study: the bundled corpus, a small encoder, minutes on two cores."""
    return Configuration(
        backbones={"small": ScratchBackbone()},
        training=TrainingSettings(
            parameters=TrialParameters(learning_rate=1e-3, max_length=128, head_layers=0, pooling="mean"),
            early_stopping_patience=4,
        ),
        spaces={
            "sample": Space(
                {
                    "learning_rate": Range(low=5e-4, high=2e-3, log=True),
                    "weight_decay": Range(low=1e-3, high=1e-1, log=True),
                    "warmup_ratio": Range(low=0.05, high=0.3),
                    "dropout": Range(low=0.0, high=0.3),
                    "backbone_dropout": Range(low=0.05, high=0.2),
                    "head_layers": Range(low=0, high=1),
                    "schedule": Choices(choices=("linear", "cosine")),
                }
            )
        },
        search=SearchSettings(
            stages=(
                StageSettings(
                    name="stage1",
                    space="sample",
                    trials=6,
                    first_round=3,
                    round_size=3,
                    shards=2,
                    epochs=2,
                    data_fraction=0.5,
                    pruner=PrunerSettings(rungs=(1.0,), minimum_trials=3),
                ),
                StageSettings(
                    name="stage2",
                    trials=4,
                    first_round=2,
                    round_size=2,
                    shards=2,
                    epochs=9,
                    pruner=PrunerSettings(rungs=(3.0, 6.0), minimum_trials=2),
                ),
            )
        ),
        retrain=RetrainSettings(top_k=2, seeds=1, final_seeds=2),
    )
