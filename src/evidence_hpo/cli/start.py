"""What Snakemake does before its first job: it says which machine holds the lock, and prepares for its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from evidence_hpo.cli.locks import note_lock_holder
from evidence_hpo.errors import StorageError
from evidence_hpo.search.interruption import DEADLINE_VARIABLE

__all__ = ["start_run"]

_LONGEST_SLEEP = 60.0
"""A machine that was suspended notes at the latest this many seconds after waking that the time is used up."""


class _Scheduler(Protocol):
    def exit_gracefully(self) -> None: ...


class _ExecutionSettings(Protocol):
    lock: bool


class _Workflow(Protocol):
    execution_settings: _ExecutionSettings

    @property
    def scheduler(self) -> _Scheduler: ...


def start_run(workflow: _Workflow) -> None:
    """Note the machine beside the lock; end the scheduling of jobs when the time budget is used up, or at SIGTERM.

    It is for the handler ``onstart`` of the Snakefile, which runs once, in the main process, when the lock is held.

    Snakemake itself ends so at SIGTERM, but its handler takes a lock that the interrupted main thread may hold, and
    then waits for itself forever. Another thread can wait for that lock.

    Args:
        workflow: Snakemake's workflow.
    """
    with contextlib.suppress(StorageError, OSError):  # a full disk the steps tell; a claim of another user stays theirs
        note_lock_holder(Path.cwd(), locks=workflow.execution_settings.lock)
    scheduler = workflow.scheduler
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _in_thread(scheduler.exit_gracefully))
    deadline = os.environ.get(DEADLINE_VARIABLE)
    if deadline:
        _in_thread(_stop_at, scheduler, float(deadline))


def _in_thread(function: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, name="end-of-run", daemon=True).start()


def _stop_at(scheduler: _Scheduler, deadline: float) -> None:
    """Let no job start after ``deadline``, neither a new one nor, with ``retries``, one that the deadline stopped."""
    while (rest := deadline - time.time()) > 0:
        time.sleep(min(rest, _LONGEST_SLEEP))
    line = "warning: the time budget is used up: no job starts any more, and those that run stop after their epoch"
    print(line, file=sys.stderr, flush=True)
    scheduler.exit_gracefully()
