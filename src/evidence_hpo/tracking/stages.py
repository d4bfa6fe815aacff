"""The stages of a search as runs: one of the stage, and nested in it one of each trial that has begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evidence_hpo import paths
from evidence_hpo.files import digest_json
from evidence_hpo.identifiers import trial_id
from evidence_hpo.provenance import lineage_tags
from evidence_hpo.tracking.names import run_tags, shown
from evidence_hpo.tracking.pictures import draw_history, draw_importances
from evidence_hpo.tracking.points import evaluation_points
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.runs import Artefact, Point, TrackedRun
from evidence_hpo.tracking.trained import Trained, modified, trained_run

__all__ = ["stage_runs"]


def stage_runs(
    results: Results, study: str, architecture: str, stage: str, evaluation: tuple[Path, Mapping[str, Any]] | None
) -> list[TrackedRun]:
    """Return the run of a stage and those of its trials.

    Args:
        results: The study's files and events.
        study: Key of the study's run.
        architecture: criteria, evidence, share or joint.
        stage: Name of the stage.
        evaluation: File and content of the architecture's ``evaluation.json``, if it is there.
    """
    first = results.read(results.path(paths.PROPOSALS, architecture=architecture, stage=stage, round=0))
    if first is None:
        return []
    key = digest_json(["stage", first, results.splits])
    rows: list[dict[str, Any]] = []
    runs = []
    for trial, row in _trials(results, key, architecture, stage, evaluation):
        runs.append(trained_run(results, trial))
        rows += [row] if row else []
    return [_stage_run(results, study, key, first, rows, runs), *runs]


def _trials(
    results: Results, parent: str, architecture: str, stage: str, evaluation: tuple[Path, Mapping[str, Any]] | None
) -> Iterator[tuple[Trained, dict[str, Any] | None]]:
    """Yield the trials that have begun, in the order of their numbers, with their records.

    A record counts if its round still proposes it as it was run.
    """
    for folder in results.rounds(architecture, stage):
        proposals = results.read(folder / "proposals.json")
        if proposals is None:
            continue
        records = results.records(folder)
        for one in proposals["trials"]:
            row, shard = records.get(one["number"], (None, None))
            if row is not None and (row["seed"], row["parameters"]) != (one["seed"], one["parameters"]):
                row, shard = None, None
            place = {
                "study": proposals["study"],
                "architecture": architecture,
                "stage": stage,
                "number": one["number"],
            }
            start = (
                results.start_of(row["key"], place)
                if row
                else results.newest_start(place, one["parameters"], one["seed"])
            )
            if row is None and start is None:
                continue
            about = row or (start.fields["about"] if start else {})
            content_key = row["key"] if row else start.key if start else ""
            yield _trial(parent, place, content_key, about, shard, start, evaluation), row


def _trial(
    parent: str,
    place: Mapping[str, Any],
    content_key: str,
    about: Mapping[str, Any],
    shard: Path | None,
    start: Any,
    evaluation: tuple[Path, Mapping[str, Any]] | None,
) -> Trained:
    number, stage = place["number"], place["stage"]
    origin = evaluation[1]["configuration"]["origin"] if evaluation else None
    won = origin is not None and (origin["stage"], origin["number"]) == (stage, number)
    rerun = about.get("origin")
    return Trained(
        key=digest_json(["trial", parent, number, content_key]),
        parent=parent,
        name=f"trial_{number:03d}_{about['parameters']['backbone']}",
        content_key=content_key,
        about=about,
        record=shard,
        start=start,
        tags=run_tags(
            (
                ("trial_id", trial_id({**place, "key": content_key})),
                ("trial_number", number),
                ("search_stage", stage),
                ("rerun_of", f"{rerun['stage']} trial {rerun['number']}" if rerun else None),
                ("chosen", True if won else None),
            )
        ),
        points=evaluation_points(evaluation[1], modified(evaluation[0])) if won and evaluation else (),
    )


def _stage_run(
    results: Results,
    study: str,
    key: str,
    first: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    runs: Sequence[TrackedRun],
) -> TrackedRun:
    architecture, stage = first["architecture"], first["stage"]
    summary_path = results.path(paths.STAGE_SUMMARY, architecture=architecture, stage=stage)
    summary = results.read(summary_path)
    complete = [row for row in rows if row["state"] == "complete"]
    best = min(complete, key=lambda row: (-row["value"], row["number"]), default=None)
    proposed = results.path(paths.PROPOSALS, architecture=architecture, stage=stage, round=0)
    provenance = results.read(_provenance_of(results, architecture, stage)) or {}
    states = {state: sum(run.state == state for run in runs) for state in ("complete", "pruned", "failed", "running")}
    return TrackedRun(
        key=key,
        name=f"{architecture}/{stage}",
        parent=study,
        state="complete" if summary else "running",
        started=min([run.started for run in runs], default=modified(proposed)),
        ended=modified(summary_path) if summary else None,
        parameters=_parameters(first, provenance, summary),
        tags={
            **lineage_tags("hpo", {}, provenance),
            **run_tags(
                (
                    ("study_name", first["study"]),
                    ("study_id", results.study_id),
                    ("architecture", architecture),
                    ("search_stage", stage),
                    ("framework", "pytorch"),
                    ("mlflow.source.type", "LOCAL"),
                    ("best_trial_id", trial_id(best) if best else None),
                    *((f"trials.{state}", count) for state, count in states.items()),
                )
            ),
        },
        points=_best_so_far(rows, runs),
        artefacts=_artefacts(results, architecture, stage, rows, best) if summary else (),
    )


def _provenance_of(results: Results, architecture: str, stage: str) -> Path:
    return results.root / f"results/provenance/{architecture}/{stage}/round_0/propose_trials.json"


def _parameters(
    first: Mapping[str, Any], provenance: Mapping[str, Any], summary: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return the parameters of a stage; the number of its trials is known for certain when it has ended."""
    settings = provenance.get("arguments", {}).get("settings", {})
    pruner = settings.get("pruner") or {}
    values = {
        "n_trials": summary["trials"] if summary else None,
        "sampler": settings.get("sampler"),
        "pruner": pruner.get("kind"),
        **{f"pruner.{name}": value for name, value in pruner.items() if name != "kind"},
        "direction": "maximize",
        "optimization_metric": f"val_{first['objective']}",
        **{name: first[name] for name in ("epochs", "data_fraction", "early_stopping_patience", "seed")},
    }
    return {name: shown(value) for name, value in values.items() if value is not None}


def _best_so_far(rows: Sequence[Mapping[str, Any]], runs: Sequence[TrackedRun]) -> list[Point]:
    """Return the best trial up to each one that was better than all before it; the step is the trial's number.

    Only trials whose predecessors have all ended count, so that a point never changes.
    """
    ended = {run.tags["trial_number"]: run.ended for run in runs}
    points: list[Point] = []
    best = None
    for number, row in enumerate(rows):
        if row["number"] != number:
            break
        if row["state"] == "complete" and (best is None or row["value"] > best):
            best, time = row["value"], ended.get(str(number)) or 0
            points.append(Point("best_trial_value", number, float(best), time))
            points.append(Point("best_trial_number", number, float(number), time))
    return points


def _artefacts(
    results: Results,
    architecture: str,
    stage: str,
    rows: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any] | None,
) -> list[Artefact]:
    wildcards = {"architecture": architecture, "stage": stage}
    found = [results.path(pattern, **wildcards) for pattern in (paths.TRIALS, paths.STAGE_SUMMARY, paths.SPACE)]
    artefacts = [Artefact(path.name, path) for path in found if path.is_file()]
    values = [[row["number"], row["state"], row["value"]] for row in rows]
    artefacts.append(Artefact("optimization_history.png", None, lambda path: draw_history(path, values), values))
    importances = _importances(results, architecture, stage)
    if importances:
        artefacts.append(
            Artefact("param_importances.png", None, lambda path: draw_importances(path, importances), importances)
        )
    if best is not None:
        config = {"training": {"parameters": best["parameters"]}}
        artefacts.append(Artefact("best_trial_config.yaml", None, lambda path: _write_yaml(path, config), config))
    return artefacts


def _write_yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=True, allow_unicode=True), encoding="utf-8")


def _importances(results: Results, architecture: str, stage: str) -> dict[str, float]:
    """Return the share of the variance by parameter; empty where the search was too small to say."""
    analysis = results.read(results.path(paths.SEARCH_ANALYSIS, architecture=architecture))
    stages = analysis["stages"] if analysis else []
    found = next((one for one in stages if one["stage"] == stage), None)
    return dict(found["importances"]["fanova"]["values"]) if found else {}
