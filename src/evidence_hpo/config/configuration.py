"""The typed configuration of a study; the default values are the default study."""

from __future__ import annotations

from pydantic import Field

from evidence_hpo.config.backbones import BackboneSettings, ScratchBackbone
from evidence_hpo.config.base import Section
from evidence_hpo.config.data import DataSettings
from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.report import ReportSettings
from evidence_hpo.config.retrain import RetrainSettings
from evidence_hpo.config.search import PrunerSettings, SearchSettings, StageSettings
from evidence_hpo.config.spaces import Choices, Range, Space
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.training import RuntimeSettings, TrainingSettings

__all__ = ["Configuration", "default_configuration"]


class Configuration(Section):
    """The whole configuration."""

    study: StudySettings = Field(StudySettings(), description="What is searched.")
    data: DataSettings = Field(DataSettings(), description="Corpus, splits and examples.")
    backbones: dict[str, BackboneSettings] = Field(description="Encoders by name: hub, folder or scratch.")
    training: TrainingSettings = Field(TrainingSettings(), description="What every run shares.")
    spaces: dict[str, Space] = Field(description="Search spaces by name.")
    search: SearchSettings = Field(description="The stages of the search.")
    retrain: RetrainSettings = Field(RetrainSettings(), description="The final choice under noise.")
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="The one look at the test split.")
    report: ReportSettings = Field(ReportSettings(), description="What reports may show.")


def default_configuration() -> Configuration:
    """Return the default study: the bundled corpus, a small encoder, minutes on two cores."""
    return Configuration(
        backbones={"small": ScratchBackbone()},
        training=TrainingSettings(
            parameters=TrialParameters(learning_rate=1e-3, max_length=128, dropout=0.1),
            runtime=RuntimeSettings(),
        ),
        spaces={
            "sample": Space(
                {
                    "learning_rate": Range(low=2e-4, high=5e-3, log=True),
                    "weight_decay": Range(low=1e-4, high=1e-1, log=True),
                    "warmup_ratio": Range(low=0.0, high=0.3),
                    "dropout": Range(low=0.0, high=0.3),
                    "pooling": Choices(choices=("cls", "mean", "max")),
                    "head_layers": Range(low=0, high=2),
                    "schedule": Choices(choices=("linear", "cosine")),
                }
            )
        },
        search=SearchSettings(
            stages=(
                StageSettings(
                    name="stage1",
                    space="sample",
                    trials=12,
                    first_round=6,
                    round_size=6,
                    shards=2,
                    epochs=2,
                    data_fraction=0.5,
                    pruner=PrunerSettings(rungs=(1.0,), minimum_trials=4),
                ),
                StageSettings(
                    name="stage2",
                    trials=8,
                    first_round=4,
                    round_size=4,
                    shards=2,
                    epochs=6,
                    pruner=PrunerSettings(rungs=(2.0, 4.0), minimum_trials=4),
                ),
            )
        ),
        retrain=RetrainSettings(top_k=2, seeds=2, final_seeds=3),
    )
