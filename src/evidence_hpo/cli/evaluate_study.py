"""The command `evaluate-study`: the best model of a finished search on the test split, and its report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from evidence_hpo import paths
from evidence_hpo.cli.finished import make_of_finished, settings_of
from evidence_hpo.cli.studies import study_folder
from evidence_hpo.cli.tables import OutputFormat, show_json, show_rows
from evidence_hpo.cli.workflow import Overlays, Overrides
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import ConfigurationError, DataError, EvidenceHpoError, StorageError
from evidence_hpo.files import atomic_path, digest_file
from evidence_hpo.graph import StudyGraph
from evidence_hpo.schemas import read_artefact
from evidence_hpo.search.trial_cache import WEIGHTS
from evidence_hpo.study_log import read_events

__all__ = ["evaluate_study"]

_TITLES = {
    "architecture": "Architecture",
    "task": "Task",
    "metric": "Metric",
    "score": "Test score",
    "low": "Low",
    "high": "High",
    "above_all_floors": "Above all floors",
}


class _StudyError(EvidenceHpoError):
    """The study is missing or its search is not finished (exit code 2, as the contract of this command has it)."""

    exit_code = 2


class _CheckpointError(EvidenceHpoError):
    """The weights of the best model are missing or damaged (exit code 3)."""

    exit_code = 3


class _TestDataError(EvidenceHpoError):
    """The test split cannot be read (exit code 4)."""

    exit_code = 4


Study = Annotated[Path, typer.Option(help="Folder of the study.")]
Output = Annotated[
    Path | None, typer.Option(help="Copy of the report; default: evaluation_report.json in the folder of the study.")
]
Split = Annotated[str, typer.Option(help="Name of the test split; there is one, `test`.")]
Cores = Annotated[str | None, typer.Option(help="Processor cores to use, or 'all'; default: as the profile says.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines, as without a terminal, instead of the display.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")]


def evaluate_study(
    study_dir: Study = Path(),
    output_path: Output = None,
    test_split: Split = "test",
    configfile: Overlays = None,
    override: Overrides = None,
    cores: Cores = None,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate the best model of a finished search on the test split, and write the report.

    Retrains the best configurations where that is not done, searches never. Exit codes: 0 success, 1 evaluation
    failed, 2 study not found or not finished, 3 checkpoint not found, 4 test data cannot be loaded.

    Example: evidence-hpo evaluate-study --study-dir . --output-path report.json
    """
    if test_split != "test":
        raise ConfigurationError(f"--test-split {test_split}: a study has one test split, named test")
    try:
        folder = study_folder(study_dir.resolve())
        configuration, options = settings_of(folder, configfile, override)
        _check_search(folder, configuration)
        _check_checkpoints(folder)
        _check_test_data(folder, configuration)
        targets = [paths.EVALUATION_REPORT]
        before = len(read_events(folder / paths.STUDY_LOG)[0])
        code = make_of_finished(folder, configuration, options, targets, cores, plain=plain)
    except DataError as error:
        raise _StudyError(str(error)) from error
    if code:
        raise typer.Exit(_code(code, read_events(folder / paths.STUDY_LOG)[0][before:]))
    source = folder / paths.EVALUATION_REPORT
    _copy(source, output_path or folder / source.name)
    _show(read_artefact(source, "evaluation_report"), as_json=as_json)


def _check_search(folder: Path, configuration: Configuration) -> None:
    study = StudyGraph(configuration)
    for path in study.all_stage_paths(paths.STAGE_SUMMARY):
        if not (folder / path).is_file():
            raise DataError(f"{folder / path}: no such file: the search is not finished; `evidence-hpo run` goes on")


def _check_checkpoints(folder: Path) -> None:
    """Check the weights that will be scored; none are named before the best configurations are retrained."""
    summary = folder / paths.RETRAIN_SUMMARY
    if not summary.is_file():
        return
    for name, one in read_artefact(summary, "retrain_summary")["architectures"].items():
        for seed in one["final"]["seeds"]:
            checkpoint = seed["checkpoint"]
            weights = folder / checkpoint["path"] / WEIGHTS if checkpoint else None
            if weights is not None and (not weights.is_file() or digest_file(weights) != checkpoint["sha256"]):
                place = checkpoint["path"]
                raise _CheckpointError(
                    f"{weights}: the checkpoint of {name} is missing or damaged; remove the folder {place}, then "
                    f"`evidence-hpo run {place}` makes it again"
                )


def _check_test_data(folder: Path, configuration: Configuration) -> None:
    study = StudyGraph(configuration)
    for architecture in study.architectures:
        for path in study.example_paths(architecture, "test"):
            try:
                pq.read_metadata(folder / path)
            except (OSError, pa.ArrowInvalid) as error:
                raise _TestDataError(
                    f"{folder / path}: the test examples cannot be read ({type(error).__name__}); remove the file, "
                    f"then `evidence-hpo run {path}` makes it again"
                ) from error


def _code(code: int, events: list[dict[str, Any]]) -> int:
    """Return this command's exit code for a failed run: of test data that cannot be read, or of the evaluation."""
    failed = [event for event in events if event["event"] == "job_failed"]
    if any(event.get("error") == "DataError" and event["rule"] == "evaluate" for event in failed):
        return _TestDataError.exit_code
    return 1


def _copy(source: Path, target: Path) -> None:
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"--output-path {target}: cannot be written: {error.strerror}") from error


def _show(report: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(report)
        return
    rows = [
        {
            "architecture": name,
            "task": verdict["task"],
            "metric": verdict["metric"],
            "score": verdict["score"]["mean"],
            "low": verdict["score"]["low"],
            "high": verdict["score"]["high"],
            "above_all_floors": verdict["above_all_floors"],
        }
        for name, one in report["architectures"].items()
        for verdict in one["verdicts"]
    ]
    show_rows(rows, _TITLES, OutputFormat.table)
