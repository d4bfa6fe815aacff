"""Step `sync_tracking`: the study replayed into the MLflow store. It never fails for the store's sake."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import TrackingError
from evidence_hpo.logs import log_event
from evidence_hpo.step import run_step
from evidence_hpo.tracking.sync import Syncer


def sync_tracking(settings: TrackingSettings, root: Path, state: Path) -> None:
    """Replay the study's events and files into the tracking store.

    Where the store does not answer, the state says what is pending and one warning what to do: the results are whole
    without it.

    Args:
        settings: The store.
        root: Folder in which `results` lies.
        state: ``state.json``, which the sync writes.
    """
    try:
        synced = Syncer(root, settings).sync()
    except TrackingError as error:
        log_event("tracking_failed", f"tracking: {error}", level="warning", state=state.as_posix())
        return
    log_event(
        "tracking_synced",
        f"{synced.store}: holds {synced.runs} runs with {synced.points} points, {synced.written_points} of them new",
        runs=synced.runs,
        written_points=synced.written_points,
    )


if __name__ == "__main__":
    run_step(sync_tracking)
