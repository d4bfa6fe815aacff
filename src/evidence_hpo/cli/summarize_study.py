"""The command `summarize-study`: the best of one architecture in one flat document, checked against its schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo import paths
from evidence_hpo.cli.finished import make_of_finished, settings_of
from evidence_hpo.cli.studies import study_folder
from evidence_hpo.cli.tables import show_json
from evidence_hpo.cli.workflow import Overlays, Overrides
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import read_json
from evidence_hpo.schemas import read_artefact, write_artefact

__all__ = ["summarize_study"]

_PROVENANCE = "results/provenance/summarize_study.json"
_OF_STUDY = ("report_id", "study_id", "study_name", "report_file_path")
_OF_ARCHITECTURE = (
    "best_trial_id",
    "best_validation_score",
    "best_trial_report_path",
    "optimization_metric_name",
    "trials_count",
)

Study = Annotated[Path, typer.Option(help="Folder of the study.")]
Name = Annotated[str | None, typer.Option(help="Name of the study; refused if the folder holds another.")]
Architecture = Annotated[str | None, typer.Option(help="Architecture; needed where the study has several.")]
Output = Annotated[
    Path | None, typer.Option(help="File to write; default: study_output.json in the folder of the study.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the document on standard output too.")]


def summarize_study(
    study_dir: Study = Path(),
    study_name: Name = None,
    architecture: Architecture = None,
    output_path: Output = None,
    configfile: Overlays = None,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Write the summary of a finished study for one architecture, checked against study_output.schema.json.

    Ids follow from the content, and generated_at is when the study was summarised: the same study gives the same bytes
    each time. results/study_summary.json holds more, for all architectures.

    Example: evidence-hpo summarize-study --study-dir . --architecture evidence --output-path summary.json
    """
    folder = study_folder(study_dir.resolve())
    configuration, options = settings_of(folder, configfile, override)
    if study_name not in (None, configuration.study.name):
        raise DataError(f"--study-name {study_name}: {folder} holds the study {configuration.study.name}")
    code = make_of_finished(folder, configuration, options, [paths.STUDY_SUMMARY], "1", plain=True)
    if code:
        raise typer.Exit(code)
    summary = read_artefact(folder / paths.STUDY_SUMMARY, "study_summary")
    generated_at = read_json(folder / _PROVENANCE)["finished_at"]
    content = _flat(summary, _chosen(summary, architecture), generated_at)
    target = output_path or folder / "study_output.json"
    write_artefact(target, "study_output", content)
    typer.echo(f"{target}: written", err=True)
    if as_json:
        show_json(content)


def _chosen(summary: Mapping[str, Any], architecture: str | None) -> str:
    known = sorted(summary["architectures"])
    if architecture is None and len(known) > 1:
        raise ConfigurationError(f"--architecture: name one of {', '.join(known)}")
    name = architecture or known[0]
    if name not in known:
        raise DataError(f"--architecture {name}: is not in {paths.STUDY_SUMMARY}; there are {', '.join(known)}")
    return name


def _flat(summary: Mapping[str, Any], architecture: str, generated_at: str) -> dict[str, Any]:
    one = summary["architectures"][architecture]
    return {
        **{key: summary[key] for key in _OF_STUDY},
        **{key: one[key] for key in _OF_ARCHITECTURE},
        "architecture": architecture,
        "generated_at": generated_at,
        "top_trials": [{key: trial[key] for key in ("trial_id", "validation_score")} for trial in one["top_trials"]],
    }
