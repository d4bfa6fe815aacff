"""The final choice under noise: the best configurations trained again, chosen by their mean, reported on fresh seeds.

The best of many noisy scores is too good by construction. So the search only nominates; means over new seeds choose;
and seeds that chose nothing are what is reported. A refit trains the chosen configuration on the validation posts too.
"""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.search.execution import execute
from evidence_hpo.search.listening import UNHEARD, RunListener
from evidence_hpo.search.outcomes import Machine, Outcome, Runner, RunRequest, run_versions
from evidence_hpo.search.retrain_records import Checkpoint, RetrainRecord, Role
from evidence_hpo.search.seeds import retrain_seed
from evidence_hpo.search.selection import RunPlan, SelectedConfiguration
from evidence_hpo.search.settings import RetrainRunSettings
from evidence_hpo.search.trial_cache import WEIGHTS, Finished, TrialCache, link_directory
from evidence_hpo.search.trials import Digests, effective_values

__all__ = ["absent_record", "relative_folder", "retrain"]

_DATA_FRACTION = 1.0


def retrain(
    plan: RunPlan,
    configuration: SelectedConfiguration,
    role: Role,
    seed_index: int,
    settings: RetrainRunSettings,
    runner: Runner,
    cache: TrialCache,
    digests: Digests,
    machine: Machine,
    model: Path,
    *,
    refit_epochs: int | None = None,
    listener: RunListener = UNHEARD,
) -> RetrainRecord:
    """Train a configuration on all training posts with a fresh seed, unpruned, and keep its best weights.

    A refit trains on the validation posts too, for a fixed number of epochs, and keeps its last weights.

    Args:
        plan: What the runs have in common.
        configuration: What to train.
        role: ``retrain`` to choose, ``final`` to report, ``refit`` to train on all that is not the test split.
        seed_index: Which seed; equal for all ranks, so that configurations are compared in pairs.
        settings: Study, global seed and epochs.
        runner: Trains.
        cache: Holds the weights too.
        digests: Content digests of a run's inputs.
        machine: What the run computes on.
        model: Folder that receives the weights; it stays empty if the run fails.
        refit_epochs: Epochs after which a refit ends; None: no refit.
        listener: Is told of the run.
    """
    label = f"retrain rank {configuration.rank}" if role == "retrain" else role
    request = RunRequest(
        label=f"{label} seed {seed_index}",
        architecture=plan.architecture,
        parameters=configuration.parameters,
        seed=retrain_seed(settings.study, plan.architecture, role, seed_index, settings.seed),
        epochs=settings.epochs or plan.epochs,
        data_fraction=_DATA_FRACTION,
        rungs=(),
        objective=plan.objective,
        early_stopping_patience=plan.early_stopping_patience if refit_epochs is None else 0,
        runtime=plan.runtime,
        digests=digests(configuration.parameters, plan.architecture),
        versions=run_versions(machine, configuration.parameters),
        keep_weights=True,
        refit_epochs=refit_epochs,
        place={
            "study": settings.study,
            "architecture": plan.architecture,
            "role": role,
            "rank": configuration.rank,
            "seed_index": seed_index,
        },
    )
    finished = execute([request], runner, cache, listener)[0]
    link_directory(finished.model, model)
    return _record(plan, configuration, role, seed_index, request, finished, model)


def _record(
    plan: RunPlan,
    configuration: SelectedConfiguration,
    role: Role,
    seed_index: int,
    request: RunRequest,
    finished: Finished,
    model: Path,
) -> RetrainRecord:
    outcome = finished.outcome
    batch, rate = effective_values(request.parameters)
    checkpoint = (
        Checkpoint(path=relative_folder(model), sha256=finished.model_sha256) if finished.model_sha256 else None
    )
    return RetrainRecord(
        study=plan.study,
        architecture=plan.architecture,
        role=role,
        rank=configuration.rank,
        seed_index=seed_index,
        seed=request.seed,
        state="complete" if outcome.state == "complete" and checkpoint else "failed",
        origin=configuration.origin,
        search_value=configuration.value,
        metrics=_best_metrics(outcome),
        parameters=dict(request.parameters),
        epochs=request.epochs,
        refit_epochs=request.refit_epochs,
        data_fraction=request.data_fraction,
        objective=request.objective,
        effective_batch_size=batch,
        effective_learning_rate=rate,
        key=request.key,
        digests=dict(request.digests),
        versions=dict(request.versions),
        checkpoint=checkpoint,
        **{name: getattr(outcome, name) for name in Outcome.model_fields if name != "state"},
    )


def relative_folder(model: Path) -> str:
    """Return the folder of a run's weights as its record names it: relative to the working directory if it is below."""
    path = model / WEIGHTS
    path = path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
    return path.parent.as_posix()


def _best_metrics(outcome: Outcome) -> dict[str, float | None]:
    return next((dict(one.metrics) for one in outcome.evaluations if one.epoch == outcome.best_epoch), {})


def absent_record(
    plan: RunPlan, role: Role, rank: int, seed_index: int, settings: RetrainRunSettings, count: int
) -> RetrainRecord:
    """Return the record of a rank that the search has no configuration for."""
    return RetrainRecord(
        study=plan.study,
        architecture=plan.architecture,
        role=role,
        rank=rank,
        seed_index=seed_index,
        seed=retrain_seed(settings.study, plan.architecture, role, seed_index, settings.seed),
        state="absent",
        origin=None,
        search_value=None,
        value=None,
        best_epoch=None,
        metrics={},
        parameters={},
        epochs=settings.epochs or plan.epochs,
        refit_epochs=None,
        data_fraction=_DATA_FRACTION,
        objective=plan.objective,
        evaluations=(),
        effective_batch_size=None,
        effective_learning_rate=None,
        reason=f"the search found only {count} distinct complete configurations",
        precision=None,
        notes=(),
        key=None,
        digests={},
        versions={},
        checkpoint=None,
        duration_seconds=0.0,
    )
