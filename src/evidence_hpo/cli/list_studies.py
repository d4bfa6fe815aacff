"""The command `list-studies`: the studies below a folder, each with its trials, its best score and its status."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo.cli.studies import Study, find_studies, read_study
from evidence_hpo.cli.tables import OutputFormat, show_rows
from evidence_hpo.errors import DataError, EvidenceHpoError

__all__ = ["list_studies"]

_TITLES = {
    "study_id": "Study ID",
    "name": "Name",
    "trials": "Trials",
    "best_metric": "Best Metric",
    "status": "Status",
    "created": "Created",
    "folder": "Folder",
}


class Status(StrEnum):
    """How far a study is."""

    completed = "completed"
    in_progress = "in_progress"
    failed = "failed"


class _NoFolderError(EvidenceHpoError):
    """The folder of the studies is not there: exit code 1, as the contract of this command has it."""


Experiments = Annotated[Path, typer.Option("--experiments-dir", help="Folder that holds study folders, or is one.")]
Format = Annotated[OutputFormat, typer.Option("--format", help="table, json or csv.")]
Filter = Annotated[Status | None, typer.Option("--filter-status", help="completed, in_progress or failed; else all.")]


def list_studies(
    experiments: Experiments = Path(), output: Format = OutputFormat.table, filter_status: Filter = None
) -> None:
    """List the studies in a folder, up to three levels below it.

    A study is a folder that holds `results`. in_progress is one that runs, or was interrupted: the command that started
    it goes on with it. failed is one whose last run ended with an error. A study has an id once it is completed.

    Example: evidence-hpo list-studies --experiments-dir experiments --filter-status completed
    """
    if not experiments.is_dir():
        raise _NoFolderError(f"--experiments-dir {experiments}: no such folder")
    rows = [_row(experiments, folder) for folder in find_studies(experiments.resolve())]
    show_rows([row for row in rows if filter_status in (None, row["status"])], _TITLES, output)


def _row(root: Path, folder: Path) -> dict[str, Any]:
    where = folder.relative_to(root.resolve())
    shown = {"folder": (root / where).as_posix()}
    try:
        study = read_study(folder)
    except DataError as error:
        empty = dict.fromkeys(("study_id", "name", "trials", "best_metric", "created"))
        return {**empty, "status": Status.failed.value, **shown, "problem": str(error)}
    return {**_described(study), **shown, "problem": None}


def _described(study: Study) -> dict[str, Any]:
    return {
        "study_id": study.study_id,
        "name": study.name,
        "trials": study.trials,
        "best_metric": dict(study.best) or None,
        "status": study.status,
        "created": study.created and study.created[:10],
    }
