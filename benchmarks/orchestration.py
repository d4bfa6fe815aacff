"""Where the wall time of a finished study went: training, other work, starting processes, waiting for jobs.

    python benchmarks/orchestration.py STUDY [STUDY ...]

STUDY is a folder in which one run of Snakemake made the whole study, on this machine or on a cluster. Read are the logs
of the jobs, the durations in their records, and the log of that run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ELAPSED = re.compile(r"Elapsed time: (?:(\d+) days?, )?(\d+):(\d+):([\d.]+)")
_SUBMITTED = re.compile(r"has been submitted with SLURM jobid|Submitted array job")


@dataclass(frozen=True)
class Job:
    """One finished job.

    Attributes:
        rule: Name of its step.
        end: When its step ended, in seconds since 1970.
        work: Seconds of its step, without the start of its process.
        training: Seconds of these in which runs trained.
        process: Seconds of its process where they were measured, else None.
    """

    rule: str
    end: float
    work: float
    training: float
    process: float | None


def jobs_of(study: Path) -> Iterator[Job]:
    """Yield the jobs of a study whose steps finished."""
    logs = study / "results" / "logs"
    for path in sorted(logs.rglob("*.log")):
        place = path.relative_to(logs).with_suffix("")
        finished = _finished(path)
        if finished is None:
            continue
        end, work, rule = finished
        results = study / "results" / place
        training = sum(_durations([results.with_suffix(".jsonl"), results / "record.json"]))
        yield Job(rule, end, work, training, _process(study / "results" / "benchmarks" / place.with_suffix(".tsv")))


def _finished(path: Path) -> tuple[float, float, str] | None:
    """Return when a step ended, how long it took and its name; None of a file that is no log of a finished step."""
    for line in reversed(path.read_text(encoding="utf-8").splitlines()):
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            return None
        if event.get("event") == "finished":
            end = datetime.datetime.fromisoformat(event["time"]).timestamp()
            return end, float(event["seconds"]), event["message"].split(":")[0]
    return None


def _durations(files: Iterable[Path]) -> Iterator[float]:
    for file in files:
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines() if file.suffix == ".jsonl" else [file.read_text()]
            yield from (float(json.loads(line)["duration_seconds"]) for line in lines)


def _process(path: Path) -> float | None:
    if not path.is_file():
        return None
    header, row = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[:2])
    return float(dict(zip(header, row, strict=True))["s"])


def wall_of(study: Path) -> tuple[float, int]:
    """Return the seconds of the run that made the study, and how many jobs it submitted to SLURM.

    Raises:
        FileNotFoundError: No run in the folder went to its end.
    """
    for path in sorted((study / ".snakemake" / "log").glob("*.log"), reverse=True):
        text = path.read_text(encoding="utf-8")
        elapsed = _ELAPSED.search(text)
        if elapsed and "(100%) done" in text:
            days, hours, minutes, seconds = (float(part or 0) for part in elapsed.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds, len(_SUBMITTED.findall(text))
    raise FileNotFoundError(f"{study}: no run of Snakemake here went to its end")


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the seconds in which at least one interval lies."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def report(study: Path) -> str:
    """Return the table of one study."""
    jobs = list(jobs_of(study))
    wall, submitted = wall_of(study)
    training = covered((job.end - job.training, job.end) for job in jobs if job.training)
    working = covered((job.end - job.work, job.end) for job in jobs)
    beside = sum(job.work - job.training for job in jobs if job.training)
    measured = [job for job in jobs if job.process is not None]
    started = sum(job.process - job.work for job in measured if job.process is not None)
    others: dict[str, float] = defaultdict(float)
    for job in jobs:
        if not job.training:
            others[job.rule] += job.work
    slowest = ", ".join(f"{rule} {work:.1f}" for rule, work in sorted(others.items(), key=lambda one: -one[1])[:6])
    lines = [
        f"{study}: {len(jobs)} jobs, {submitted} of them through SLURM, {wall:.0f} s",
        f"  wall time in which nothing trains       {1 - training / wall:6.1%}  ({wall - training:.0f} s)",
        f"  wall time in which no step works        {1 - working / wall:6.1%}  ({wall - working:.0f} s)",
        f"  training of all jobs                    {sum(job.training for job in jobs):6.1f} s",
        f"  other work of the jobs that train       {beside:6.1f} s",
        f"  work of the other jobs                  {sum(others.values()):6.1f} s  ({slowest})",
        f"  start of {len(measured):3d} measured processes         {started:6.1f} s"
        f"  ({started / max(1, len(measured)):.1f} s each)",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="+", type=Path)
    for study in parser.parse_args().study:
        print(report(study))


if __name__ == "__main__":
    main()
