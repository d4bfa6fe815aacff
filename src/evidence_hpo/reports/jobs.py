"""The jobs of a study as their provenance tells of them: when and where each ran, and what it waited for."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from evidence_hpo.config.parameters import ArchitectureName
from evidence_hpo.files import read_json

__all__ = [
    "REPORTS",
    "RETRAINING",
    "Break",
    "Clock",
    "Job",
    "Phase",
    "jobs_of",
    "phase_of",
    "read_jobs",
    "result_files",
    "study_clock",
]

_PHASES = {
    "prepare_corpus": "data",
    "split_corpus": "data",
    "build_examples": "data",
    "prepare_backbone": "data",
    "tokenize_examples": "data",
    "augment_examples": "augmentation",
    "augment_with_textattack": "augmentation",
    "build_textattack": "augmentation",
    "prepare_wordnet": "augmentation",
    "summarize_augmentation": "augmentation",
    "tokenize_augmented": "augmentation",
    "evaluate": "evaluation",
    "export_model": "evaluation",
}
ARCHITECTURES: tuple[str, ...] = get_args(ArchitectureName)
RETRAINING, REPORTS = "retraining", "reports"
BREAK_SECONDS, BREAK_SHARE = 600.0, 0.1
"""A time without any job is a break of the study, not a wait, if it is longer than both: ten minutes, and a tenth of
the time in which jobs ran."""

Phase = tuple[str, str]
"""Architecture, or "" for what serves all, and the name of a stage or of another part of the study."""


@dataclass(frozen=True)
class Job:
    """A finished job; times are seconds since 1970.

    Attributes:
        name: Its provenance file without suffix, relative to ``results/provenance``.
        step: Its step, which is the name of its rule.
        phase: Where it belongs.
        started: When its process started.
        finished: When its outputs were there.
        ready: When the last of its inputs was there; None where no job made one.
        host: Machine.
        cpu_seconds: Time of processors.
        cpu_joules: Energy of all processor packages of the machine while it ran; None where not readable.
        gpu_joules: Energy of each GPU that it may have used, while it ran.
    """

    name: str
    step: str
    phase: Phase
    started: float
    finished: float
    ready: float | None
    host: str
    cpu_seconds: float
    cpu_joules: float | None
    gpu_joules: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Wall-clock time."""
        return self.finished - self.started


def read_jobs(folder: Path) -> dict[str, Any]:
    """Return the provenance of every job below ``folder`` by name."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): read_json(path) for path in sorted(folder.rglob("*.json"))
    }


def jobs_of(provenance: Mapping[str, Any], wanted: Collection[str]) -> list[Job]:
    """Return the jobs of the study in the order of their start.

    Args:
        provenance: Contents by name.
        wanted: Names of the jobs that are of the study (:func:`evidence_hpo.reports.membership.study_jobs`).
    """
    kept = {name: content for name, content in provenance.items() if "job" in content and name in wanted}
    jobs = {name: _job(name, content) for name, content in kept.items()}
    paths = {name: sorted(set(result_files(content["arguments"]))) for name, content in kept.items()}
    makers = _makers(jobs, paths)
    found = []
    for name, job in jobs.items():
        made = [jobs[makers[path]].finished for path in paths[name] if makers[path] != name]
        found.append(replace(job, ready=max(made) if made and max(made) <= job.started + 1.0 else None))
    return sorted(found, key=lambda job: (job.started, job.name))


def _job(name: str, content: Mapping[str, Any]) -> Job:
    record = content["job"]
    started = datetime.datetime.fromisoformat(record["started_at"]).timestamp()
    return Job(
        name=name,
        step=content["step"],
        phase=phase_of(name, content["step"]),
        started=started,
        finished=started + record["seconds"],
        ready=None,
        host=record["host"],
        cpu_seconds=record["cpu_seconds"],
        cpu_joules=record["energy_joules"]["cpu"],
        gpu_joules=record["energy_joules"]["gpus"],
    )


def phase_of(name: str, step: str) -> Phase:
    """Return where a job belongs: ``criteria/stage1/round_0/shard_0`` to ``("criteria", "stage1")``."""
    parts = name.split("/")
    if step in _PHASES:
        return (parts[0] if _PHASES[step] == "evaluation" else "", _PHASES[step])
    if parts[0] not in ARCHITECTURES or len(parts) < 3:
        return ("", REPORTS)
    return (parts[0], RETRAINING if parts[1] == "retrain" else parts[1])


def result_files(value: Any) -> Iterator[str]:
    """Yield the result files that the arguments of a step name."""
    if isinstance(value, str):
        if value.startswith("results/"):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from result_files(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from result_files(item)


def _makers(jobs: Mapping[str, Job], paths: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the job that made each file: of all that name it, the one that finished first, as its readers need it."""
    makers: dict[str, str] = {}
    for name in sorted(jobs, key=lambda name: (jobs[name].finished, name)):
        for path in paths[name]:
            makers.setdefault(path, name)
    return makers


@dataclass(frozen=True)
class Break:
    """A time in which the study did not run; seconds since 1970."""

    start: float
    end: float


@dataclass(frozen=True)
class Clock:
    """Seconds since the start of the study, breaks left out."""

    start: float
    end: float
    breaks: tuple[Break, ...]

    def __call__(self, moment: float) -> float:
        """Return the seconds of the study that had passed at ``moment``, seconds since 1970."""
        paused = sum(min(max(moment, one.start), one.end) - one.start for one in self.breaks)
        return moment - self.start - paused

    @property
    def seconds(self) -> float:
        """How long the study ran."""
        return self(self.end)

    def waited(self, job: Job) -> float | None:
        """Return how long a job's inputs were there before it started; None where that is not known."""
        return None if job.ready is None else max(0.0, self(job.started) - self(job.ready))


def study_clock(jobs: Sequence[Job]) -> Clock:
    """Return the clock of a study; ``jobs`` has at least one, in the order of their start."""
    gaps: list[Break] = []
    busy, until = 0.0, jobs[0].started
    for job in jobs:
        if job.started > until:
            gaps.append(Break(until, job.started))
        busy += max(0.0, job.finished - max(until, job.started))
        until = max(until, job.finished)
    longest = max(BREAK_SECONDS, BREAK_SHARE * busy)
    return Clock(jobs[0].started, until, tuple(gap for gap in gaps if gap.end - gap.start > longest))
