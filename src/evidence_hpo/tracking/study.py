"""A study as runs of the tracking store: one of the study, in it one of each stage, in these the trials.

Retrained seeds lie in the run `retrain` of their architecture, beside it the evaluation, whose scores are also at the
trial that won. Everything follows from the files of the study and the events, whatever the store holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.files import digest_file, digest_json
from evidence_hpo.provenance import lineage_tags
from evidence_hpo.tracking.losses import losses_on_test
from evidence_hpo.tracking.names import run_tags, shown
from evidence_hpo.tracking.points import evaluation_points
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.retrained import retrained_runs
from evidence_hpo.tracking.runs import Artefact, TrackedRun
from evidence_hpo.tracking.single import single_runs
from evidence_hpo.tracking.stages import stage_runs
from evidence_hpo.tracking.trained import modified

__all__ = ["study_runs"]

_STUDY_FILES = (
    paths.STUDY_SUMMARY,
    paths.RETRAIN_SUMMARY,
    paths.EVALUATION_REPORT,
    paths.EVALUATION_REPORT_TEXT,
    paths.RULEGRAPH,
    paths.DAG,
)


def study_runs(results: Results, *, artefacts: bool = True) -> list[TrackedRun]:
    """Return all runs of a study, parents before their children; none while nothing has begun.

    Args:
        results: The study's files and events.
        artefacts: Whether files are sent too.
    """
    name = results.study_name
    if name is None:
        return []
    root = digest_json(["study", name])
    found: list[TrackedRun] = []
    evaluations = {architecture: _evaluation(results, architecture) for architecture, _ in results.stages}
    for architecture, stage in results.stages:
        found += stage_runs(results, root, architecture, stage, evaluations[architecture])
    for architecture, evaluation in evaluations.items():
        found += retrained_runs(results, root, name, architecture, evaluation)
        if evaluation is not None:
            found.append(_evaluation_run(results, root, name, *evaluation))
    found += single_runs(results, root, name)
    runs = [_study_run(results, root, name, found), *found]
    return runs if artefacts else [replace(run, artefacts=()) for run in runs]


def _evaluation(results: Results, architecture: str) -> tuple[Path, Mapping[str, Any]] | None:
    path = results.path(paths.EVALUATION, architecture=architecture)
    content = results.read(path)
    if content is None:
        return None
    predictions = results.path(paths.EVALUATION_PREDICTIONS, architecture=architecture)
    return path, {**content, "losses": losses_on_test(predictions)}


def _evaluation_run(results: Results, root: str, name: str, path: Path, evaluation: Mapping[str, Any]) -> TrackedRun:
    """Return the run of an evaluation; another content, as with other thresholds, is another run."""
    architecture, configuration = evaluation["architecture"], evaluation["configuration"]
    written = modified(path)
    provenance = results.read(results.root / f"results/provenance/{architecture}/evaluate.json") or {}
    files = [path, *sorted(path.parents[1].glob("figures/evaluation_*.svg"))]
    card = results.path(paths.EXPORTED_MODEL, architecture=architecture) / "README.md"
    values = {
        **configuration["parameters"],
        "thresholds": {task: one["headline"]["thresholds"] for task, one in evaluation["tasks"].items()},
        "bootstrap_repeats": evaluation["bootstrap_repeats"],
        "confidence": evaluation["confidence"],
        "seeds": evaluation["seeds"],
        "split": evaluation["split"],
        **results.model(str(configuration["parameters"]["backbone"])),
        **results.data,
    }
    origin = configuration["origin"]
    return TrackedRun(
        key=digest_json(["evaluation", name, digest_file(path)]),
        name=f"{architecture}/evaluation",
        parent=root,
        state="complete",
        started=written,
        ended=written,
        parameters={key: shown(value) for key, value in values.items()},
        tags={
            **lineage_tags("evaluation", evaluation["digests"], provenance),
            **run_tags(
                (
                    ("study_name", name),
                    ("study_id", results.study_id),
                    ("architecture", architecture),
                    ("chosen_trial", f"{origin['stage']} trial {origin['number']}" if origin else None),
                    ("mlflow.source.type", "LOCAL"),
                )
            ),
        },
        points=evaluation_points(evaluation, written),
        artefacts=[*(Artefact(file.name, file) for file in files), *([Artefact("README.md", card)] * card.is_file())],
    )


def _study_run(results: Results, root: str, name: str, runs: Sequence[TrackedRun]) -> TrackedRun:
    summary = results.path(paths.STUDY_SUMMARY)
    done = results.study_id is not None
    files = [results.path(pattern) for pattern in _STUDY_FILES] if done else []
    figures = sorted(results.root.glob("results/*/figures/search_*.svg")) if done else []
    return TrackedRun(
        key=root,
        name=name,
        parent=None,
        state="complete" if done else "running",
        started=min([run.started for run in runs], default=0),
        ended=modified(summary) if done else None,
        tags=run_tags(
            (
                ("study_name", name),
                ("study_id", results.study_id),
                ("stage", "hpo"),
                ("framework", "pytorch"),
                ("mlflow.source.type", "LOCAL"),
                *results.data.items(),
            )
        ),
        artefacts=[
            *(Artefact(path.name, path) for path in files if path.is_file()),
            *(Artefact(f"figures/{path.parents[1].name}/{path.name}", path) for path in figures),
        ],
    )
