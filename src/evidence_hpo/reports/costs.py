"""The content of ``results/reports/cost.json``: hours, epochs and energy of a study, part by part."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence_hpo.reports.jobs import RETRAINING, Clock, Job, Phase, study_clock

__all__ = ["Spent", "cost_report", "expected_jobs", "retraining_spent", "stage_spent"]


FIRST: tuple[Phase, ...] = (("", "data"), ("", "augmentation"))


@dataclass(frozen=True)
class Spent:
    """What the runs of a stage, or of the retraining, took by their own records, whichever job they ran in.

    Attributes:
        runs: Trials, or retrained models.
        epochs: Epochs that were trained.
        epochs_full: Epochs, had none ended early.
        training_seconds: Sum of their durations; None where the records do not say.
    """

    runs: int
    epochs: float
    epochs_full: float
    training_seconds: float


def stage_spent(summary: Mapping[str, Any]) -> Spent:
    """Return what the trials of a stage took, from its ``summary.json``."""
    epochs = summary["epochs"]
    return Spent(summary["trials"], epochs["spent"], epochs["full"], summary["duration_seconds"])


def retraining_spent(records: Iterable[Mapping[str, Any]]) -> Spent:
    """Return what the retrained models of an architecture took, from their ``record.json``."""
    ran = [record for record in records if record["state"] != "absent"]
    return Spent(
        len(ran),
        math.fsum(max((one["epoch"] for one in record["evaluations"]), default=0.0) for record in ran),
        float(sum(record["epochs"] for record in ran)),
        round(math.fsum(record["duration_seconds"] for record in ran), 3),
    )


def expected_jobs(summaries: Iterable[Mapping[str, Any]], retrained: Mapping[str, Any]) -> set[str]:
    """Return the names of the jobs of each architecture, as the results that are there need them.

    Args:
        summaries: Contents of all ``summary.json``.
        retrained: ``architectures`` of ``retrain_summary.json``.
    """
    names = set()
    for summary in summaries:
        stage = f"{summary['architecture']}/{summary['stage']}"
        names |= {f"{stage}/{name}" for name in ("define_space", "narrow_space", "collect_trials")}
        for one in summary["timing"]:
            round_ = f"{stage}/round_{one['round']}"
            names.add(f"{round_}/propose_trials")
            names |= {f"{round_}/shard_{shard}" for shard in range(len(one["shards"]))}
    for architecture, content in retrained.items():
        steps = ("analyse_search", "plot_search", "evaluate", "plot_evaluation", "export_model")
        names |= {f"{architecture}/{step}" for step in steps}
        names |= {f"{architecture}/retrain/{step}" for step in ("select_configs", "choose_config")}
        parts = {f"rank_{one['rank']}": one["seeds"] for one in content["configurations"]}
        parts |= {"final": content["final"]["seeds"], "refit": (content["refit"] or {"seeds": []})["seeds"]}
        names |= {
            f"{architecture}/retrain/{part}/seed_{seed['seed_index']}"
            for part, seeds in parts.items()
            for seed in seeds
        }
    return names


def cost_report(study: str, jobs: Sequence[Job], spent: Mapping[Phase, Spent], without_times: int) -> dict[str, Any]:
    """Return the report.

    Args:
        study: Name of the study.
        jobs: Its finished jobs in the order of their start; at least one.
        spent: What stages and retrainings took by their records, in the order in which they are to be shown.
        without_times: Jobs whose provenance says nothing of their times.
    """
    clock, shares = study_clock(jobs), _shares(jobs)
    present = dict.fromkeys(job.phase for job in jobs)
    last = [phase for phase in present if phase not in spent and phase not in FIRST]
    order = [
        *(phase for phase in FIRST if phase in present),
        *spent,
        *sorted(last, key=lambda phase: (not phase[0], phase)),
    ]
    parts = [_part(phase, jobs, spent.get(phase), clock, shares) for phase in order]
    return {
        "study": study,
        "started_at": _time(clock.start),
        "finished_at": _time(clock.end),
        "wall_seconds": round(clock.seconds, 3),
        "breaks": [
            {"from": _time(one.start), "to": _time(one.end), "seconds": round(one.end - one.start, 3)}
            for one in clock.breaks
        ],
        "jobs": len(jobs),
        "jobs_without_times": without_times,
        "hosts": sorted({job.host for job in jobs}),
        "workers": busiest(jobs),
        "parts": parts,
        "total": _total(parts),
        "energy_readable": {
            "cpu": sum(job.cpu_joules is not None for job in jobs),
            "gpu": sum(bool(job.gpu_joules) for job in jobs),
        },
    }


def _part(
    phase: Phase, jobs: Sequence[Job], spent: Spent | None, clock: Clock, shares: Mapping[str, float]
) -> dict[str, Any]:
    own = [job for job in jobs if job.phase == phase]
    waits = [wait for job in own if (wait := clock.waited(job)) is not None]
    return {
        "architecture": phase[0] or None,
        "part": phase[1],
        "jobs": len(own),
        "runs": spent.runs if spent else None,
        "epochs": round(spent.epochs, 6) if spent else None,
        "epochs_full": round(spent.epochs_full, 6) if spent else None,
        "training_seconds": spent.training_seconds if spent else None,
        "job_seconds": _sum(job.seconds for job in own),
        "cpu_seconds": _sum(job.cpu_seconds for job in own),
        "waiting_seconds": _sum(waits),
        "longest_wait_seconds": round(max(waits, default=0.0), 3),
        "cpu_joules": _known(job.cpu_joules * shares[job.name] for job in own if job.cpu_joules is not None),
        "gpu_joules": _known(_gpu_joules(own, shares)),
    }


def _gpu_joules(jobs: Iterable[Job], shares: Mapping[str, float]) -> Iterable[float]:
    return (joules * shares[f"{job.name} {uuid}"] for job in jobs for uuid, joules in job.gpu_joules.items())


def _shares(jobs: Sequence[Job]) -> dict[str, float]:
    """Return which share of each counter's energy is a job's own: jobs at one counter share it evenly at each moment.

    A counter's power is taken as even over the job, as only its two ends are read. Keys are the job's name for the
    processors, and name and UUID for a GPU.
    """
    counters: dict[str, list[tuple[Job, str]]] = {}
    for job in jobs:
        counters.setdefault(job.host, []).append((job, job.name))
        for uuid in job.gpu_joules:
            counters.setdefault(uuid, []).append((job, f"{job.name} {uuid}"))
    shares: dict[str, float] = {}
    for users in counters.values():
        shares |= _of_counter(users)
    return shares


def _of_counter(users: Sequence[tuple[Job, str]]) -> dict[str, float]:
    lasting = [(job, key) for job, key in users if job.seconds > 0]
    events = sorted([(job.started, 1, key) for job, key in lasting] + [(job.finished, 0, key) for job, key in lasting])
    own: dict[str, float] = {}
    opened: dict[str, float] = {}
    even, last = 0.0, 0.0  # integral of 1 / jobs at once
    for moment, starts, key in events:
        if opened:
            even += (moment - last) / len(opened)
        last = moment
        if starts:
            opened[key] = even
        else:
            own[key] = even - opened.pop(key)
    return {key: own[key] / job.seconds if key in own else 1.0 for job, key in users}


def busiest(jobs: Iterable[Job]) -> int:
    """Return the largest number of jobs that ran at once."""
    running = most = 0
    for _, change in sorted([(job.started, 1) for job in jobs] + [(job.finished, -1) for job in jobs]):
        running += change
        most = max(most, running)
    return most


def _total(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def whole(key: str) -> float | None:
        return _known(part[key] for part in parts if part[key] is not None)

    searched = [part for part in parts if part["runs"] is not None and part["part"] != RETRAINING]
    return {
        "trials": sum(part["runs"] for part in searched),
        "retrained": sum(part["runs"] for part in parts if part["part"] == RETRAINING and part["runs"] is not None),
        **{key: whole(key) for key in ("epochs", "training_seconds", "job_seconds", "cpu_seconds", "waiting_seconds")},
        "cpu_joules": whole("cpu_joules"),
        "gpu_joules": whole("gpu_joules"),
    }


def _sum(values: Iterable[float]) -> float:
    return round(math.fsum(values), 3)


def _known(values: Iterable[float]) -> float | None:
    """Return the sum, or None of nothing: what was not read is not zero."""
    found = list(values)
    return _sum(found) if found else None


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds")
