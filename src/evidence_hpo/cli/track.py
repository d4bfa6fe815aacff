"""The command `track`: the study in an MLflow store, now, or live while its jobs run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evidence_hpo.cli.workflow import Overlays, Overrides, checked_configuration
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import ConfigurationError, DataError, TrackingError

if TYPE_CHECKING:
    from evidence_hpo.tracking.sync import Synced, Syncer

__all__ = ["track"]

Uri = Annotated[str | None, typer.Option(help="MLflow server or sqlite:///path; default: tracking.uri.")]
Follow = Annotated[
    bool, typer.Option("--follow/--once", help="Go on until the study is finished, or sync once; Ctrl-C ends it.")
]
Interval = Annotated[float, typer.Option(min=0.2, help="Seconds between two syncs of --follow.")]
Ui = Annotated[bool, typer.Option("--ui", help="Show the store in a browser instead: starts MLflow's server here.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of --ui.")]


def track(
    uri: Uri = None,
    follow: Follow = False,
    interval: Interval = 5.0,
    ui: Ui = False,
    port: Port = 5000,
    configfile: Overlays = None,
    override: Overrides = None,
) -> None:
    """Bring the MLflow store to what the files of the study say; each point is there once, however often this runs.

    Jobs never wait for the store, and never fail with it. Credentials come from MLFLOW_TRACKING_TOKEN, from
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or from the file that tracking.token_file names. Exit code 5:
    the store did not answer, or refused.

    Example: evidence-hpo track --follow --uri http://localhost:5000
    """
    settings = _settings(checked_configuration(configfile, override).tracking, uri)
    if ui:
        _serve(settings, port)
    from evidence_hpo.tracking.sync import Syncer

    syncer = Syncer(Path.cwd(), settings)
    try:
        if follow:
            _follow(syncer, interval)
        else:
            _print(_synced(syncer))
    except KeyboardInterrupt:
        typer.echo("track: ended; what is not sent yet is sent by the next sync", err=True)


def _settings(settings: TrackingSettings, uri: str | None) -> TrackingSettings:
    """Return the settings with the URI of the command line, checked like the configuration's."""
    if uri is None:
        return settings
    from pydantic import ValidationError

    try:
        return TrackingSettings.model_validate({**settings.model_dump(), "uri": uri})
    except ValidationError as error:
        message = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--uri: {message}") from None


def _synced(syncer: Syncer) -> Synced:
    synced = syncer.sync()
    if synced.study is None:
        raise DataError(f"{Path.cwd() / 'results'}: no study there; start one with `evidence-hpo run`")
    return synced


def _follow(syncer: Syncer, interval: float) -> None:
    """Sync until the study is finished; while the store does not answer, go on asking."""
    shown = ""
    while True:
        try:
            synced = syncer.sync()
            line = _line(synced)
            done = synced.is_finished and not _is_running(Path.cwd())
        except TrackingError as error:
            line, done = f"track: {error}", False
        if line != shown:
            typer.echo(line, err=True)
            shown = line
        if done:
            return
        time.sleep(interval)


def _is_running(root: Path) -> bool:
    """Return whether a workflow holds the folder, or left its lock there."""
    return any((root / ".snakemake" / "locks").glob("*"))


def _print(synced: Synced) -> None:
    typer.echo(_line(synced), err=True)


def _line(synced: Synced) -> str:
    if synced.study is None:
        return "track: no round is proposed yet"
    running = synced.runs - synced.finished
    return (
        f"track: {synced.study}: {synced.runs} runs ({running} under way), {synced.points} points in {synced.store}; "
        f"written: {synced.written_runs} runs, {synced.written_points} points"
    )


def _serve(settings: TrackingSettings, port: int) -> None:
    """Replace this process by MLflow's server on this machine alone."""
    from evidence_hpo.tracking.store import database_uri, prepare_environment

    if settings.uri is not None and not settings.uri.startswith("sqlite:"):
        raise ConfigurationError(f"--ui: the store is a server already; open {settings.uri} in a browser")
    prepare_environment(settings, Path.cwd())
    store = settings.uri or database_uri(Path.cwd())
    typer.echo(f"track: http://127.0.0.1:{port} shows {store}; Ctrl-C ends it", err=True)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--host", "127.0.0.1"]
    os.environ.pop("MLFLOW_CONFIGURE_LOGGING", None)
    os.execv(command[0], [*command, "--port", str(port), "--workers", "1"])
