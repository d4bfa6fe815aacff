"""A retraining from its job's inputs to its files; it loads torch, and trials do not depend on it."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.paths import WORK
from evidence_hpo.schemas import write_artefact
from evidence_hpo.search.listening import UNHEARD, RunListener
from evidence_hpo.search.retrain_records import Role
from evidence_hpo.search.retraining import retrain
from evidence_hpo.search.runs import probe_machine, training_runner
from evidence_hpo.search.selection import RunPlan, SelectedConfiguration
from evidence_hpo.search.settings import RetrainRunSettings
from evidence_hpo.search.training_inputs import TrainingInputs
from evidence_hpo.search.trial_cache import TrialCache

__all__ = ["retrain_to_files"]


def retrain_to_files(
    plan: RunPlan,
    configuration: SelectedConfiguration,
    role: Role,
    seed: int,
    settings: RetrainRunSettings,
    inputs: TrainingInputs,
    record: Path,
    model: Path,
    *,
    refit_epochs: int | None = None,
    listener: RunListener = UNHEARD,
) -> None:
    """Retrain a configuration and write its record; see :func:`evidence_hpo.search.retraining.retrain`.

    Args:
        plan: What the runs have in common.
        configuration: What to train.
        role: ``retrain``, ``final`` or ``refit``.
        seed: Which seed, from 0.
        settings: Study, global seed and epochs.
        inputs: Encoders and token caches.
        record: ``record.json``.
        model: Folder of the weights; empty if the run fails.
        refit_epochs: Epochs after which a refit ends; None: no refit.
        listener: Is told of the run.
    """
    written = retrain(
        plan,
        configuration,
        role,
        seed,
        settings,
        training_runner(inputs, listener=listener),
        TrialCache(WORK / "trials"),
        inputs.digests,
        probe_machine(plan.runtime, [configuration.parameters]),
        model,
        refit_epochs=refit_epochs,
        listener=listener,
    )
    write_artefact(record, "retrain_record", written.model_dump(mode="json"))
