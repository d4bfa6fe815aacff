"""Several runs at once in one job, each in a process of its own: a short run leaves most of a large GPU idle.

Workers only fill the trial cache. The job then goes over all its runs as it would alone: what a worker finished is
taken from the cache, and what none finished is done there, with the device to itself. So the number of workers changes
no result.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evidence_hpo.errors import EvidenceHpoError, TrainingError
from evidence_hpo.logs import log_event, log_path, open_log
from evidence_hpo.search.interruption import Interrupted, watch_for_interruption

__all__ = ["run_in_workers"]

_POLL_SECONDS = 1.0

Start = Callable[[], Callable[[int], None]]
"""Called once in each worker; gives the function that does one piece of work by its number."""


def run_in_workers(start: Start, pieces: int, processes: int) -> None:
    """Do the pieces of work 0 .. ``pieces`` - 1, each once, whichever worker is free; return when all have ended.

    A worker that fails is logged and leaves the rest of its work to the caller.

    Args:
        start: See :data:`Start`; it must be picklable.
        pieces: Number of pieces.
        processes: Number of workers.

    Raises:
        TrainingError: The job was asked to end; the workers were asked too, and have ended.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    following = context.Value("q", 0)
    log = log_path()
    workers = [
        context.Process(
            target=_work,
            args=(start, pieces, following, log and log.with_suffix(f".worker_{number}.log")),
            name=f"worker {number}",
        )
        for number in range(min(processes, pieces))
    ]
    with watch_for_interruption() as interruption:
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                wait([worker.sentinel for worker in workers if worker.is_alive()], _POLL_SECONDS)
                interruption.check()
        except Interrupted:
            raise TrainingError("interrupted; run again to continue from the last finished epochs") from None
        finally:
            _end(workers)
    for worker in workers:
        if worker.exitcode:
            line = f"{worker.name} ended with code {worker.exitcode}; what it left is done by the job itself"
            log_event("worker_failed", line, level="warning")


def _end(workers: Sequence[BaseProcess]) -> None:
    """Ask the workers that still run to end after their epoch, and wait for them.

    SIGINT, because SLURM sends its SIGTERM to every process of a job, and a second one of a kind would cut the epoch.
    """
    for worker in workers:
        if worker.is_alive() and worker.pid is not None:
            os.kill(worker.pid, signal.SIGINT)
    for worker in workers:
        worker.join()


def _work(start: Start, pieces: int, following: Any, log: Path | None) -> None:
    # A signal to the job's process group would come here twice, from the system and from the job.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # where nothing notes it, it ends the worker without a traceback
    _die_with_parent()
    try:
        with open_log(log) if log else contextlib.nullcontext():
            work = start()
            while (number := _next(following)) < pieces:
                work(number)
    except EvidenceHpoError as error:
        log_event("failed", str(error), level="error", error=type(error).__name__)
        raise SystemExit(error.exit_code) from None


def _next(following: Any) -> int:
    with following.get_lock():
        number: int = following.value
        following.value += 1
    return number


def _die_with_parent() -> None:
    """End this process when the job's is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
