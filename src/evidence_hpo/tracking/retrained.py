"""Retrained seeds as runs: one of the retraining of an architecture, and nested in it one of each seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.files import digest_json
from evidence_hpo.tracking.names import run_tags, shown
from evidence_hpo.tracking.points import evaluation_points
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.runs import Artefact, TrackedRun
from evidence_hpo.tracking.trained import Trained, modified, trained_run

__all__ = ["retrained_runs"]

Evaluation = tuple[Path, Mapping[str, Any]]
_PLACE = ("role", "rank", "seed_index")


def retrained_runs(
    results: Results, study: str, name: str, architecture: str, evaluation: Evaluation | None
) -> list[TrackedRun]:
    """Return the run of the retraining and those of its seeds; none before the configurations are selected.

    Args:
        results: The study's files and events.
        study: Key of the study's run.
        name: Name of the study.
        architecture: criteria, evidence, share or joint.
        evaluation: File and content of the architecture's ``evaluation.json``, if it is there.
    """
    selected_path = results.path(paths.SELECTED, architecture=architecture)
    selected = results.read(selected_path)
    if selected is None:
        return []
    key = digest_json(["retrain", name, selected, results.splits])
    runs = [trained_run(results, one) for one in _seeds(results, key, name, selected, evaluation)]
    files = [selected_path, results.path(paths.CHOSEN, architecture=architecture)]
    done = results.read(results.path(paths.RETRAIN_SUMMARY)) is not None
    parent = TrackedRun(
        key=key,
        name=f"{architecture}/retrain",
        parent=study,
        state="complete" if done else "running",
        started=min([run.started for run in runs], default=modified(selected_path)),
        ended=modified(results.path(paths.RETRAIN_SUMMARY)) if done else None,
        parameters={
            "top_k": shown(len(selected["configurations"])),
            "optimization_metric": f"val_{selected['objective']}",
        },
        tags=run_tags(
            (
                ("study_name", name),
                ("study_id", results.study_id),
                ("architecture", architecture),
                ("stage", "retrain"),
                ("mlflow.source.type", "LOCAL"),
            )
        ),
        artefacts=[Artefact(path.name, path) for path in files if path.is_file()] if done else (),
    )
    return [parent, *runs]


def _seeds(
    results: Results, parent: str, name: str, selected: Mapping[str, Any], evaluation: Evaluation | None
) -> Iterator[Trained]:
    """Yield the seeds that have a record, then those under way."""
    architecture = selected["architecture"]
    folder = results.path(paths.SELECTED, architecture=architecture).parent
    seen = set()
    for path in sorted(folder.glob("*/seed_*/record.json")):
        record = results.read(path)
        if record is None or record["state"] == "absent":
            continue
        place = {"study": name, "architecture": architecture, **{part: record[part] for part in _PLACE}}
        seen.add(tuple(place[part] for part in _PLACE))
        yield _seed(results, parent, place, record["key"], record, path, evaluation)
    parameters = _wanted(results, selected)
    for start in results.starts(study=name, architecture=architecture):
        about = start.fields["about"]
        place = about["place"]
        identity = tuple(place.get(part) for part in _PLACE)
        if "role" in place and identity not in seen and about.get("parameters") == parameters.get(identity[:2]):
            seen.add(identity)
            yield _seed(results, parent, place, start.key, about, None, evaluation)


def _wanted(results: Results, selected: Mapping[str, Any]) -> dict[tuple[Any, ...], Any]:
    """Return the parameters that each role and rank has now, so that events of an earlier study are passed over."""
    wanted = {("retrain", one["rank"]): one["parameters"] for one in selected["configurations"]}
    chosen = results.read(results.path(paths.CHOSEN, architecture=selected["architecture"]))
    for role in ("final", "refit") if chosen else ():
        wanted[role, chosen["chosen_rank"]] = chosen["configuration"]["parameters"]
    return wanted


def _seed(
    results: Results,
    parent: str,
    place: Mapping[str, Any],
    content_key: str,
    about: Mapping[str, Any],
    record: Path | None,
    evaluation: Evaluation | None,
) -> Trained:
    role, rank, seed = (place[part] for part in _PLACE)
    scored = role == "final" and record is not None and evaluation is not None and seed in evaluation[1]["seeds"]
    artefacts = []
    if record is not None:
        artefacts.append(Artefact("record.json", record))
    label = f"rank_{rank}" if role == "retrain" else role
    checkpoint = about.get("checkpoint") or {}
    return Trained(
        key=digest_json(["seed", parent, role, rank, seed, content_key]),
        parent=parent,
        name=f"{label}_seed_{seed}_{about['parameters']['backbone']}",
        content_key=content_key,
        about=about,
        record=record,
        start=results.start_of(content_key, place),
        tags=run_tags(
            (
                ("role", role),
                ("rank", rank),
                ("seed_index", seed),
                ("checkpoint.path", checkpoint.get("path")),
                ("checkpoint.sha256", checkpoint.get("sha256")),
            )
        ),
        points=evaluation_points(evaluation[1], modified(evaluation[0]), seed=seed) if scored and evaluation else (),
        artefacts=artefacts,
    )
