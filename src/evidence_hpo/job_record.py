"""When, where and at what cost a job ran: part of its provenance, and what the reports of time and cost are made of."""

from __future__ import annotations

import datetime
import os
import socket
import time
from pathlib import Path
from typing import Any

from evidence_hpo.energy import EnergyMeter

__all__ = ["JobMeter"]


_LOADED = time.time()


def process_start() -> float:
    """Return when this process started, in seconds since 1970: before Python's imports, where the kernel says so.

    The kernel counts in ticks since the machine was started (``man 5 proc_pid_stat``, field 22), exact to 10 ms. The
    time of the machine's start that it gives beside it is whole seconds only.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # not Linux
        return _LOADED
    return min(time.time() - age, _LOADED)


class JobMeter:
    """Measures this process, from its start until it is asked."""

    def __init__(self) -> None:
        self._started = process_start()
        self._energy = EnergyMeter()

    def record(self) -> dict[str, Any]:
        """Return start (UTC), seconds of wall clock and of processors, host, SLURM job and energy in joules."""
        now = datetime.datetime.now(datetime.UTC)
        times = os.times()
        return {
            "started_at": datetime.datetime.fromtimestamp(self._started, datetime.UTC).isoformat(
                timespec="milliseconds"
            ),
            "seconds": round(max(0.0, now.timestamp() - self._started), 3),
            "cpu_seconds": round(times.user + times.system + times.children_user + times.children_system, 3),
            "host": socket.gethostname(),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "energy_joules": self._energy.joules(),
        }
