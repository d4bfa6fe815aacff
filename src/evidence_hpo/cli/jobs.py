"""Snakemake started by a command: signals reach it, and a failed job's own exit code is the command's."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import typer

from evidence_hpo import errors
from evidence_hpo.errors import EvidenceHpoError

__all__ = ["failure_since", "run_jobs"]

_LOGS = Path("results/logs")


def run_jobs(command: Sequence[str]) -> int:
    """Run Snakemake; return 0, or the exit code of the error by which a job failed, 1 where it is not known.

    Signals reach the command: Ctrl-C by the terminal, SIGTERM from here.
    """
    began = time.time()
    # The claim of the folder is an open file: it goes on to the command, which may outlive this process.
    process = subprocess.Popen(command, close_fds=False)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not code:
        return 0
    failure = failure_since(_LOGS, began)
    if failure is None:
        return 1
    typer.echo(failure["message"], err=True)
    return int(getattr(errors, str(failure.get("error")), EvidenceHpoError).exit_code)


def failure_since(logs: Path, moment: float) -> dict[str, str] | None:
    """Return the first error in the jobs' logs since a moment, None if there is none.

    Snakemake ends with 1 whatever a job ended with, but the last line of a failed job's log names its error.
    """
    found = [path for path in logs.rglob("*.log") if path.stat().st_mtime >= moment - 1]
    failures = [event for path in found if (event := _failure(path)) and event["time"] >= _text(moment)]
    return min(failures, key=lambda event: event["time"], default=None)


def _failure(log: Path) -> dict[str, str] | None:
    try:
        last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, IndexError, ValueError):
        return None
    return last if isinstance(last, dict) and last.get("event") == "failed" else None


def _text(moment: float) -> str:
    """Return a moment as logs write it: UTC, in milliseconds."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{seconds}.{int(moment % 1 * 1000):03d}+00:00"
