"""The record behind a run of the tracking store. Nothing else here knows MLflow, which is loaded only then."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from evidence_hpo.errors import DataError, TrackingError

__all__ = ["DEFAULT_URI", "RECORD_TAG", "record_of_tracked_run"]

DEFAULT_URI = "sqlite:///results/mlflow.db"
RECORD_TAG = "evidence_hpo.record"
"""Tag of a run that names its record."""

_RUN_ID = re.compile(r"[0-9a-f]{32}")


def record_of_tracked_run(run_id: str, uri: str, experiment: str | None) -> str | None:
    """Return the path of the record of a run in the store; None if ``run_id`` cannot be the id of one.

    Args:
        run_id: Id that MLflow gave.
        uri: The store.
        experiment: Name of the experiment that the run must be in; None: any.

    Raises:
        DataError: The store has no such run, or it is of no record.
        TrackingError: The store cannot be reached.
    """
    if not _RUN_ID.fullmatch(run_id):
        return None
    parts = urlsplit(uri)
    if parts.scheme == "sqlite" and not Path(parts.path.removeprefix("/")).is_file():
        raise DataError(f"--tracking-uri {uri}: no such file; run evidence-hpo track first")  # MLflow would make it
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise TrackingError("--run-id: the id of a tracked run needs the package mlflow, which is missing") from error
    client = MlflowClient(tracking_uri=uri)
    try:
        run = client.get_run(run_id)
        name = client.get_experiment(run.info.experiment_id).name
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise DataError(f"--run-id {run_id}: no such run in {uri}") from error
        raise TrackingError(f"--tracking-uri {uri}: {str(error).splitlines()[0][:200]}") from error
    if experiment is not None and name != experiment:
        raise DataError(f"--run-id {run_id}: is in the experiment {name}, not in {experiment}")
    record = run.data.tags.get(RECORD_TAG)
    if record is None:
        raise DataError(f"--run-id {run_id}: has no tag {RECORD_TAG}; name a retrained, final or single run")
    return str(record)
