"""Jobs and provenance for the tests of the reports."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from evidence_hpo.reports.jobs import Job, Phase, phase_of

START = 1_800_000_000.0


def job(
    name: str,
    start: float,
    end: float,
    *,
    step: str = "run_trials",
    host: str = "one",
    ready: float | None = None,
    cpu_joules: float | None = None,
    gpu_joules: Mapping[str, float] | None = None,
    phase: Phase | None = None,
) -> Job:
    """A job whose times are seconds since the start of the study."""
    return Job(
        name=name,
        step=step,
        phase=phase or phase_of(name, step),
        started=START + start,
        finished=START + end,
        ready=None if ready is None else START + ready,
        host=host,
        cpu_seconds=end - start,
        cpu_joules=cpu_joules,
        gpu_joules=gpu_joules or {},
    )


def provenance(step: str, start: float, seconds: float, **arguments: Any) -> dict[str, Any]:
    """The parts of a job's provenance that reports read."""
    started = datetime.datetime.fromtimestamp(START + start, datetime.UTC).isoformat(timespec="milliseconds")
    return {
        "step": step,
        "arguments": arguments,
        "git": {"commit": "a" * 40, "branch": "main", "dirty": False},
        "job": {
            "started_at": started,
            "seconds": seconds,
            "cpu_seconds": seconds,
            "host": "one",
            "slurm_job": None,
            "energy_joules": {"cpu": None, "gpus": {}},
        },
    }
