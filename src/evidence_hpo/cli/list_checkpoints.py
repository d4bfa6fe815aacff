"""The command `list-checkpoints`: resume points and kept weights, with what the retention policy does with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo import paths
from evidence_hpo.cli.checkpoint_files import CheckpointFile, checkpoints_in, run_folders
from evidence_hpo.cli.studies import recorded_configuration, study_folder
from evidence_hpo.cli.tables import OutputFormat, show_rows
from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import ConfigurationError, DataError, EvidenceHpoError

__all__ = ["checkpoint_settings", "list_checkpoints", "study_of_run"]

_TITLES = {
    "checkpoint": "Checkpoint",
    "epoch": "Epoch",
    "step": "Step",
    "score": "Val F1",
    "is_best": "Is Best",
    "is_latest": "Is Latest",
    "retained": "Retained",
    "size_mb": "Size (MB)",
}


class _NoFolderError(EvidenceHpoError):
    """The folder is not there: exit code 1, as the contract of this command has it."""


Trial = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a run: a retrained seed's, one of results/runs, of results/work/runs or of results/work/trials."
    ),
]
Study = Annotated[Path | None, typer.Option(help="Folder of a study; default: the working directory.")]
Format = Annotated[OutputFormat, typer.Option("--format", help="table, json or csv.")]
Metrics = Annotated[bool, typer.Option("--show-metrics", help="Also show all validation metrics at each checkpoint.")]


def list_checkpoints(
    trial_dir: Trial = None,
    study_dir: Study = None,
    output: Format = OutputFormat.table,
    show_metrics: Metrics = False,
) -> None:
    """List checkpoints: of the runs under way their resume points, of retrained models the weights that are kept.

    "Val F1" is the objective on the validation split, macro-F1 or character F1 unless configured otherwise. "Retained"
    is whether the study's retention policy (training.checkpoints) keeps it; `cleanup` removes what it does not.

    Example: evidence-hpo list-checkpoints --trial-dir results/criteria/retrain/final/seed_0 --show-metrics
    """
    if trial_dir is not None and study_dir is not None:
        raise ConfigurationError("--trial-dir and --study-dir: give one of them")
    folder = trial_dir or study_dir or Path()
    if not folder.is_dir():
        raise _NoFolderError(f"{folder}: no such folder")
    try:
        study = study_of_run(folder) if trial_dir else study_folder(folder)
    except DataError as error:
        raise _NoFolderError(str(error)) from error
    runs = [folder] if trial_dir else run_folders(study)
    settings = checkpoint_settings(study)
    found = [(run, one) for run in runs for one in checkpoints_in(run, settings)]
    metrics = sorted({name for _, one in found for name in one.metrics}) if show_metrics else []
    rows = [_row(one, study if study_dir or not trial_dir else run, metrics) for run, one in found]
    show_rows(rows, {**_TITLES, **{name: name for name in metrics}}, output)


def _row(one: CheckpointFile, root: Path, metrics: list[str]) -> dict[str, Any]:
    values: Mapping[str, Any] = {name: one.metrics.get(name) for name in metrics}
    return {
        "checkpoint": one.path.relative_to(root).as_posix(),
        "epoch": int(one.epoch) if one.epoch is not None and one.epoch.is_integer() else one.epoch,
        "step": one.step,
        "score": one.score,
        "is_best": one.is_best,
        "is_latest": one.is_latest,
        "retained": one.retained,
        "size_mb": round(one.size / 1e6, 2),
        **values,
    }


def study_of_run(folder: Path) -> Path:
    """Return the study that a run's folder belongs to.

    Raises:
        DataError: It lies in no `results`.
    """
    found = next((parent for parent in folder.resolve().parents if parent.name == "results"), None)
    if found is None:
        raise DataError(f"{folder}: lies in no folder `results` of a study")
    return found.parent


def checkpoint_settings(study: Path) -> CheckpointSettings:
    """Return the retention policy of a study; the default one where no configuration is recorded."""
    if (study / paths.RESOLVED_CONFIGURATION).is_file():
        return recorded_configuration(study).training.checkpoints
    return CheckpointSettings()
