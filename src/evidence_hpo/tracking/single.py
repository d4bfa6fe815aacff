"""Runs outside the search (`evidence-hpo train`): one run each, also where it went on after its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.files import digest_json
from evidence_hpo.tracking.events import Event
from evidence_hpo.tracking.names import run_tags
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.runs import Artefact, TrackedRun
from evidence_hpo.tracking.trained import Trained, trained_run

__all__ = ["single_runs"]


def single_runs(results: Results, study: str, name: str) -> list[TrackedRun]:
    """Return the single runs of a study, those under way included.

    Args:
        results: The study's files and events.
        study: Key of the study's run.
        name: Name of the study.
    """
    return [trained_run(results, run) for run in _runs(results, study, name)]


def _runs(results: Results, study: str, name: str) -> Iterator[Trained]:
    seen = set()
    for path in sorted(results.root.glob(paths.RUN_RECORD.format(run="*"))):
        record = results.read(path)
        if record is not None and record["study"] == name:
            seen.add(record["name"])
            yield _run(results, study, record["name"], record, path, None)
    for start in results.starts(study=name):
        run = start.fields["about"]["place"].get("run")
        if run is not None and run not in seen:
            seen.add(run)
            yield _run(results, study, run, start.fields["about"], None, start)


def _run(
    results: Results, study: str, run: str, about: Mapping[str, Any], record: Path | None, start: Event | None
) -> Trained:
    """Return a run whose identity is its name and seed: where it goes on for more epochs it stays the same run."""
    place = {"study": about.get("study"), "architecture": about["architecture"], "run": run}
    begun = start or next(iter(results.starts(**place)), None)
    content_key = about.get("key") or (begun.key if begun else "")
    files = sorted(record.parent.glob("*.*")) if record else []
    checkpoint = about.get("checkpoint") or {}
    return Trained(
        key=digest_json(["run", study, run, about["architecture"], about["parameters"], about["seed"]]),
        parent=study,
        name=run,
        content_key=content_key,
        about=about,
        record=record,
        start=begun,
        tags=run_tags(
            (
                ("role", "single"),
                ("resumed_from", about.get("resumed_from")),
                ("checkpoint.path", checkpoint.get("path")),
                ("checkpoint.sha256", checkpoint.get("sha256")),
            )
        ),
        artefacts=[Artefact(file.name, file) for file in files if file.is_file()],
    )
