"""What a store holds, read from its own tables: no code of ours or of MLflow stands between."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.tracking.events import EventFiles
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.runs import TrackedRun
from evidence_hpo.tracking.study import study_runs


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database, timeout=60) as connection:
        return connection.execute(query).fetchall()


def stored_points(database: Path) -> list[tuple[str, str, int, float]]:
    """Return key of the run, metric, step and value of every point of every run that is not deleted, sorted."""
    return sorted(
        rows(
            database,
            "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN runs r USING (run_uuid) "
            "JOIN tags t ON t.run_uuid = m.run_uuid AND t.key = 'evidence_hpo.key' "
            "WHERE r.lifecycle_stage = 'active'",
        )
    )


def stored_keys(database: Path) -> list[str]:
    """Return the keys of all runs that are not deleted, sorted."""
    query = (
        "SELECT t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'evidence_hpo.key' "
        "WHERE r.lifecycle_stage = 'active'"
    )
    return sorted(key for (key,) in rows(database, query))


def wanted_runs(root: Path) -> Sequence[TrackedRun]:
    return study_runs(Results(root, EventFiles().read_folder(root / paths.EVENTS)))


def wanted_points(root: Path) -> list[tuple[str, str, int, float]]:
    """Return what ``stored_points`` should give, from the files."""
    return sorted((run.key, point.name, point.step, point.value) for run in wanted_runs(root) for point in run.points)


def check_exactly_once(root: Path, database: Path | None = None) -> int:
    """Check that each run and each point is in the store once, none missing and none too many; return the points."""
    database = database or root / paths.TRACKING_DATABASE
    assert stored_keys(database) == sorted(run.key for run in wanted_runs(root))
    stored = stored_points(database)
    assert stored == wanted_points(root)
    assert len({point[:3] for point in stored}) == len(stored)
    parents = dict(
        rows(
            database,
            "SELECT k.value, pk.value FROM tags p "
            "JOIN tags k ON k.run_uuid = p.run_uuid AND k.key = 'evidence_hpo.key' "
            "JOIN runs r ON r.run_uuid = p.run_uuid AND r.lifecycle_stage = 'active' "
            "JOIN runs q ON q.run_uuid = p.value AND q.lifecycle_stage = 'active' "
            "JOIN tags pk ON pk.run_uuid = p.value AND pk.key = 'evidence_hpo.key' WHERE p.key = 'mlflow.parentRunId'",
        )
    )
    assert parents == {run.key: run.parent for run in wanted_runs(root) if run.parent}
    return len(stored)
