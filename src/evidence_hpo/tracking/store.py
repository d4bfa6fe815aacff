"""The MLflow store: reads what is there and adds what is missing.

Any request may fail and still have been carried out, now or later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import ConfigurationError, TrackingError
from evidence_hpo.tracking.retries import Gone, Retries
from evidence_hpo.tracking.runs import Artefact, Point, TrackedRun

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.store.entities import PagedList
    from mlflow.tracking import MlflowClient

__all__ = ["DIGEST_TAG", "KEY_TAG", "Store", "StoredRun", "database_uri", "prepare_environment"]

KEY_TAG, STUDY_TAG, DIGEST_TAG = "evidence_hpo.key", "evidence_hpo.study", "evidence_hpo.digest"
PARENT_TAG = "mlflow.parentRunId"
_STATUS = {"running": "RUNNING", "complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's pages show training runs rather than traces of language models."""
_PAGE = 500
_MOST_PARAMETERS = _MOST_TAGS = 100
"""MLflow takes no more of them in one request."""


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it."""

    run_id: str
    key: str
    status: str
    started: int
    tags: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def parent(self) -> str | None:
        """Id of the run that it is nested in."""
        return self.tags.get(PARENT_TAG)

    def is_complete(self, run: TrackedRun, parent: str | None) -> bool:
        """Return whether everything of ``run`` was written: the digest is written last."""
        wanted = (run.digest, _STATUS[run.state], parent)
        return (self.tags.get(DIGEST_TAG), self.status, self.parent) == wanted


def database_uri(root: Path) -> str:
    """Return the URI of the study's own store."""
    return f"sqlite:///{(root / paths.TRACKING_DATABASE).absolute().as_posix()}"


def prepare_environment(settings: TrackingSettings, root: Path) -> None:
    """Set what MLflow reads from the environment, before it is imported: credentials, no telemetry, no own retries.

    MLflow would repeat a request that failed without looking whether it was carried out.

    Raises:
        ConfigurationError: The token file is missing or empty.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    if settings.token_file is not None:
        os.environ["MLFLOW_TRACKING_TOKEN"] = _token(settings.token_file, root)


def _token(file: str, root: Path) -> str:
    path = root / Path(file).expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"tracking.token_file: {file}: cannot be read ({type(error).__name__})") from error
    if not token or len(token.split()) != 1:
        raise ConfigurationError(f"tracking.token_file: {file}: must hold the token and nothing else")
    return token


class Store:
    """The runs of one study in one experiment.

    Args:
        settings: Where, and how patiently.
        root: Folder in which `results` lies.
        study: Name of the study.
    """

    def __init__(self, settings: TrackingSettings, root: Path, study: str) -> None:
        prepare_environment(settings, root)
        self.settings, self.root, self.study = settings, root, study
        self.uri = settings.uri or database_uri(root)
        parts = urlsplit(self.uri)
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self.is_local = parts.scheme == "sqlite"
        self.retries = Retries(self.shown, settings.retries, *settings.backoff_seconds)
        self._client: MlflowClient | None = None
        self._experiment: str | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, imported on first use: it takes seconds."""
        if self._client is None:
            from mlflow.tracking import MlflowClient

            for name in ("mlflow", "alembic"):  # what matters is raised, and said here in one line
                logging.getLogger(name).setLevel(logging.CRITICAL)
            if self.is_local:
                _write_without_waiting_for_the_disk()
                self.retries.run(self._check_file)
            self._client = self.retries.run(lambda: MlflowClient(self.uri))
        return self._client

    def _check_file(self) -> None:
        """Read something of the file, if it is there: MLflow would take minutes to say that it cannot."""
        file = Path(urlsplit(self.uri).path[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            with contextlib.closing(sqlite3.connect(file, timeout=20)) as connection:
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()

    @property
    def experiment(self) -> str:
        """Id of the experiment, which is made if it is not there."""
        if self._experiment is None:
            self._experiment = self.retries.run(self._find_experiment)
        return self._experiment

    def _find_experiment(self) -> str:
        name = self.settings.experiment
        found: Experiment | None = self.client.get_experiment_by_name(name)
        if found is None:
            folder = (self.root / paths.TRACKING_ARTIFACTS).absolute().as_uri() if self.is_local else None
            with contextlib.suppress(Exception):  # another process may have made it, or this request before it failed
                self.client.create_experiment(name, artifact_location=folder, tags=_KIND)
            found = self.client.get_experiment_by_name(name)
        if found is None:
            raise ConnectionError(f"experiment {name} is not there after it was made")
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"{self.shown}: the experiment {name} is deleted; restore it, or name another in tracking.experiment"
            )
        return str(found.experiment_id)

    # --- reading -----------------------------------------------------------------------------------------------

    def runs(self, key: str | None = None) -> list[StoredRun]:
        """Return the study's runs that are not deleted, or those of one key."""
        condition = f"tags.`{STUDY_TAG}` = '{self.study}'" if key is None else f"tags.`{KEY_TAG}` = '{key}'"
        found: list[StoredRun] = []
        token: str | None = None
        while True:
            page = self.retries.run(partial(self._search, condition, token))
            found += [_stored(run) for run in page if KEY_TAG in run.data.tags]
            token = page.token
            if not token:
                return found

    def _search(self, condition: str, token: str | None) -> PagedList[Run]:
        return self.client.search_runs([self.experiment], condition, max_results=_PAGE, page_token=token)

    def points(self, run_id: str, names: Sequence[str]) -> dict[tuple[str, int], list[tuple[int, float]]]:
        """Return times and values of the points of a run by name and step, the newest last."""
        found: dict[tuple[str, int], list[tuple[int, float]]] = {}
        for name in names:
            for metric in self.retries.run(partial(self.client.get_metric_history, run_id, name)):
                found.setdefault((metric.key, metric.step), []).append((metric.timestamp, metric.value))
        return {identity: sorted(values) for identity, values in found.items()}

    # --- writing -----------------------------------------------------------------------------------------------

    def create(self, run: TrackedRun, parent: str | None) -> tuple[StoredRun, bool]:
        """Make a run; return it, and whether it is certainly new and so has no points."""
        failures = self.retries.failures

        def create() -> StoredRun:
            tags = {KEY_TAG: run.key, STUDY_TAG: self.study, **run.tags, **({PARENT_TAG: parent} if parent else {})}
            made = self.client.create_run(self.experiment, start_time=run.started, tags=tags, run_name=run.name)
            return _stored(made)

        def find_or_create() -> StoredRun:
            return next(iter(sorted(self.runs(run.key), key=_seniority)), None) or create()

        made = self.retries.run(create, find_or_create)
        return made, self.retries.failures == failures

    def add(self, run_id: str, parameters: Mapping[str, str], points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Write parameters and points that are not there, then tags.

        Raises:
            Gone: The run is deleted.
        """
        for batch in _batches(parameters, points, tags, self.settings.batch_size):
            self._add_batch(run_id, *batch)

    def _add_batch(
        self, run_id: str, parameters: list[tuple[str, str]], points: list[Point], tags: list[tuple[str, str]]
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        def write(points: Sequence[Point] = points) -> None:
            self.client.log_batch(
                run_id,
                metrics=[Metric(point.name, point.value, point.time, point.step) for point in points],
                params=[Param(*parameter) for parameter in parameters],
                tags=[RunTag(*tag) for tag in tags],
            )

        def write_again() -> None:
            """Write, without the points where the last of them is there: they are written in order, or all at once.

            Where they are not, but on their way, the store takes no point with the same time a second time.
            """
            there = self.points(run_id, [points[-1].name]) if points else {}
            write([] if points and _has(there, points[-1]) else points)

        self.retries.run(write, write_again)

    def set_state(self, run_id: str, run: TrackedRun) -> None:
        """Write how a run stands."""
        status = _STATUS[run.state]
        if status == "RUNNING":
            self.retries.run(lambda: self.client.update_run(run_id, status=status))
        else:
            self.retries.run(lambda: self.client.set_terminated(run_id, status, end_time=run.ended))

    def send(self, run_id: str, artefact: Artefact) -> None:
        """Write a file of a run; the same name is replaced."""
        name = Path(artefact.name)
        folder = name.parent.as_posix() if len(name.parts) > 1 else None
        with tempfile.TemporaryDirectory() as temporary:
            file = artefact.source
            if file is None or file.name != name.name:
                file = Path(temporary) / name.name
                if artefact.make is not None:
                    artefact.make(file)
                elif artefact.source is not None:
                    shutil.copyfile(artefact.source, file)
            self.retries.run(lambda: self.client.log_artifact(run_id, str(file), folder))

    def delete(self, run_id: str) -> None:
        """Move a run to the store's bin; one that is there already is no matter."""
        with contextlib.suppress(Gone):
            self.retries.run(lambda: self.client.delete_run(run_id))


def _has(there: Mapping[tuple[str, int], Sequence[tuple[int, float]]], point: Point) -> bool:
    return any(value == point.value for _, value in there.get((point.name, point.step), ()))


def _seniority(run: StoredRun) -> tuple[int, str]:
    """Return what orders runs of one key equally for all who look at them."""
    return run.started, run.run_id


def _stored(run: Run) -> StoredRun:
    tags = run.data.tags
    return StoredRun(
        run.info.run_id, tags.get(KEY_TAG, ""), run.info.status, run.info.start_time, tags, run.data.params
    )


_Batch = tuple[list[tuple[str, str]], list[Point], list[tuple[str, str]]]
"""Parameters, points and tags of one request."""


def _batches(
    parameters: Mapping[str, str], points: Sequence[Point], tags: Mapping[str, str], size: int
) -> Iterator[_Batch]:
    """Yield records in requests of at most ``size``, the tags last: the last of them says that all is there."""
    batch: _Batch = ([], [], [])
    kinds: tuple[tuple[int, Sequence[Any], int], ...] = (
        (0, list(parameters.items()), _MOST_PARAMETERS),
        (1, points, size),
        (2, list(tags.items()), _MOST_TAGS),
    )
    for kind, records, most in kinds:
        for record in records:
            if len(batch[0]) + len(batch[1]) + len(batch[2]) >= size or len(batch[kind]) >= most:
                yield batch
                batch = ([], [], [])
            batch[kind].append(record)
    if batch[0] or batch[1] or batch[2]:
        yield batch


def _write_without_waiting_for_the_disk() -> None:
    """Let SQLite leave its writes to the operating system, in this process: ten times as fast.

    A killed process loses nothing by it. A power failure may damage the file, which is made again from the results.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def connected(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    if not _LISTENING:
        event.listen(Engine, "connect", connected)
        _LISTENING.append(True)


_LISTENING: list[bool] = []
