"""Step `sync_tracking`: the study replayed into the MLflow store. It never fails for the store's sake."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import EvidenceHpoError, StorageError
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact
from evidence_hpo.step import run_step
from evidence_hpo.tracking.sync import Synced, Syncer


def sync_tracking(settings: TrackingSettings, root: Path, state: Path) -> None:
    """Replay the study's events and files into the tracking store.

    Where that fails, the state says what is pending and one warning what to do: the results are whole without it.

    Args:
        settings: The store.
        root: Folder in which `results` lies.
        state: ``state.json``, which the sync writes.
    """
    try:
        synced = Syncer(root, settings).sync()
    except StorageError:  # nor could the state be written
        raise
    except Exception as error:
        fault = (
            str(error) if isinstance(error, EvidenceHpoError) else f"{type(error).__name__}: {error}".splitlines()[0]
        )
        log_event("tracking_failed", f"tracking: {fault}", level="warning", state=state.as_posix())
        if not state.is_file():  # it failed before it knew what there is to do
            write_artefact(state, "tracking_state", asdict(Synced("", settings.experiment, error=fault)))
        return
    log_event(
        "tracking_synced",
        f"{synced.store}: holds {synced.runs} runs with {synced.points} points, {synced.written_points} of them new",
        runs=synced.runs,
        written_points=synced.written_points,
    )


if __name__ == "__main__":
    run_step(sync_tracking)
