"""Starts Snakemake for a study: claims its folder, passes signals on, says how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import typer

from evidence_hpo import errors, paths
from evidence_hpo.cli.locks import claim_folder, noted_start
from evidence_hpo.cli.progress import ProgressView, StudyProgress
from evidence_hpo.cli.workflow import snakemake_command, workflow_folder
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.search.interruption import DEADLINE_VARIABLE
from evidence_hpo.study_log import append_event, read_events

__all__ = ["Ended", "Launch", "exit_code_of", "launch", "run_command"]

_KEPT_LINES = 40
_GRAVEST_FIRST = ("StorageError", "DataError", "ConfigurationError", "TrackingError")
"""Of the errors of several jobs, the exit code is that of the first that occurs."""


@dataclass(frozen=True)
class Launch:
    """What is started.

    Attributes:
        folder: Folder of the study; its `results` receive everything.
        configuration: The checked configuration.
        targets: Files to make; empty: the whole study.
        options: Further options of Snakemake, the overlays and overrides among them.
        cores: Number of cores, or ``all``; None: as the profile says.
        seconds: Time budget; None: none.
        plain: Lines instead of the display, even on a terminal.
        is_study: Whether it is the study that is made, so that its configuration is recorded; not a run outside of it.
        last_stage: The stage with which the targets end; None: they need all, and the retraining.
    """

    folder: Path
    configuration: Configuration
    targets: Sequence[str]
    options: Sequence[str]
    cores: str | None = None
    seconds: float | None = None
    plain: bool = False
    last_stage: str | None = None
    is_study: bool = True


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (1 for a signal), and whether it was asked to end before it was done."""

    code: int
    interrupted: bool


def launch(wanted: Launch) -> int:
    """Run Snakemake and return the exit code: 0, or what the gravest error of a failed job stands for.

    Raises:
        StorageError: A live run holds the folder, or the disk is full.
    """
    claim_folder(wanted.folder)
    log = wanted.folder / paths.STUDY_LOG
    preview = bool({"-n", "--dry-run", "--dryrun"} & {*wanted.targets, *wanted.options})
    if not preview:
        append_event(log, "run_started", study=wanted.configuration.study.name, targets=list(wanted.targets))
    offset = log.stat().st_size if log.exists() else 0
    cores = ["--cores", wanted.cores] if wanted.cores else []
    command = [*snakemake_command(), *_targets(wanted), *cores, *wanted.options]
    view = None
    if not preview:
        command += ["--logger", "evidence-hpo"]
        if sys.stderr.isatty() and not wanted.plain:
            progress = StudyProgress(wanted.configuration, wanted.folder, wanted.last_stage)
            view = ProgressView(progress, log, offset)
    with noted_start(wanted.folder):
        ended = run_command(command, wanted.folder, wanted.seconds, view)
    if preview:
        return ended.code
    code = exit_code_of(ended.code, read_events(log, offset)[0])
    append_event(log, "run_finished", exit_code=code, interrupted=ended.interrupted)
    return code


def _targets(wanted: Launch) -> list[str]:
    """Return the targets; those of a study with its resolved configuration, which other commands read."""
    has_options = any(target.startswith("-") for target in wanted.targets)
    records = wanted.is_study and wanted.targets and not has_options
    return [*([paths.RESOLVED_CONFIGURATION] if records else []), *wanted.targets]


def exit_code_of(code: int, events: Sequence[Mapping[str, object]]) -> int:
    """Return the exit code of a run from Snakemake's and the errors of the failed jobs."""
    if code == 0:
        return 0
    found = {event.get("error") for event in events if event["event"] == "job_failed"}
    for name in _GRAVEST_FIRST:
        if name in found:
            return int(getattr(errors, name).exit_code)
    return code


def run_command(
    command: Sequence[str], folder: Path, seconds: float | None = None, view: ProgressView | None = None
) -> Ended:
    """Run a command that starts no job once the time is used up; those that train then stop after their epoch.

    The workflow itself sees to that (:func:`evidence_hpo.cli.start.start_run`); it gets the deadline from here.
    Signals reach the command: Ctrl-C by the terminal, SIGTERM from here.
    """
    deadline = None if seconds is None else time.time() + seconds
    search_path = [str(workflow_folder() / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search_path)}
    if deadline is not None:
        environment[DEADLINE_VARIABLE] = repr(deadline)
    output = subprocess.PIPE if view else None
    # The claim of the folder is an open file: it goes on to the command, which may outlive this process.
    process = subprocess.Popen(
        command, cwd=folder, env=environment, close_fds=False, stdout=output, stderr=output and subprocess.STDOUT
    )
    with _signals_passed_on(process) as signals:
        code = _shown(process, view) if view else process.wait()
    used_up = bool(code and deadline is not None and time.time() >= deadline)
    if used_up:
        typer.echo(f"the time budget of {seconds:g} s is used up; the same command goes on from here", err=True)
    return Ended(1 if code < 0 else code, bool(code and (signals or used_up)))


@contextlib.contextmanager
def _signals_passed_on(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Yield the list of the signals that arrive while the block runs."""
    arrived: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        if number == signal.SIGTERM:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(process: subprocess.Popen[bytes], view: ProgressView) -> int:
    """Show the progress until the command ends; of its own lines warnings and errors, and the last ones if it fails."""
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    with view, process.stdout:
        for raw in process.stdout:
            line = raw.decode("utf-8", errors="replace").rstrip("\n")
            last.append(line)
            if line.startswith(("warning:", "error:")):
                view.say(line)
        code = process.wait()
    if code:
        typer.echo("\n".join(last), err=True)
    return code
