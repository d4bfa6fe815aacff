"""A run that trains, of the search or retrained: from its record where there is one, else from its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo.provenance import lineage_tags
from evidence_hpo.tracking.events import Event
from evidence_hpo.tracking.names import run_parameters, run_tags
from evidence_hpo.tracking.points import curve_points, evaluations_of
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.runs import Artefact, Point, TrackedRun

__all__ = ["Trained", "modified", "trained_run"]


@dataclass(frozen=True)
class Trained:
    """What is known of a run that trains.

    Attributes:
        key: Key of the run in the store.
        parent: The same of the run that it lies in.
        name: Shown name.
        content_key: Its content key.
        about: Its record, or what the event of its beginning says.
        record: File that holds the record; None: there is none yet.
        start: Event of its beginning, if there is one.
        tags: Further tags.
        points: Further points.
        artefacts: Its files.
    """

    key: str
    parent: str
    name: str
    content_key: str
    about: Mapping[str, Any]
    record: Path | None
    start: Event | None
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    artefacts: Sequence[Artefact] = ()


def modified(path: Path) -> int:
    """Return when a file was last written, in milliseconds since 1970; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0


def trained_run(results: Results, run: Trained) -> TrackedRun:
    """Return the run as it should be in the store."""
    events, about = results.events_of(run.content_key), run.about
    written = modified(run.record) if run.record else 0
    if run.record:
        outcome, evaluations = about, about["evaluations"]
    else:
        outcome = events.finished.fields["result"] if events.finished else {}
        evaluations = evaluations_of(events)
    ended = events.finished.time if events.finished else written or None
    duration = round(1000 * (outcome.get("duration_seconds") or 0.0))
    started = run.start.time if run.start else max(0, (ended or 0) - duration)
    rungs = about.get("rungs", ())
    points = curve_points(
        about["architecture"],
        about["objective"],
        evaluations,
        events,
        thousandths=any(not float(_epoch(rung)).is_integer() for rung in rungs),
        fallback=ended or started,
    )
    backbone = str(about["parameters"]["backbone"])
    state = outcome.get("state", "running")
    provenance = results.provenance(run.record) if run.record else {}
    tags = run_tags(
        (
            ("study_id", results.study_id),
            ("content_key", run.content_key),
            ("trial_status", "completed" if state == "complete" else state),
            ("reason", outcome.get("reason")),
            ("precision", outcome.get("precision")),
            ("framework", "pytorch"),
            ("architecture", about["architecture"]),
            ("mlflow.source.type", "LOCAL"),
        )
    )
    return TrackedRun(
        key=run.key,
        name=run.name,
        parent=run.parent,
        state=state,
        started=started,
        ended=None if state == "running" else ended,
        parameters=run_parameters(about, results.model(backbone), results.data),
        tags={**lineage_tags("train", about["digests"], provenance), **tags, **run.tags},
        points=[*points, *run.points],
        artefacts=run.artefacts,
    )


def _epoch(rung: Any) -> float:
    """Return the epoch of a rung of a record, which has thresholds, or of an event, which has not."""
    return float(rung["epoch"] if isinstance(rung, Mapping) else rung)
