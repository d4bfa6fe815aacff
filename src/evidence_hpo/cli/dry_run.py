"""Snakemake's own dry run, read: which jobs would run, and why."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evidence_hpo.errors import ConfigurationError

__all__ = ["PlannedJob", "dry_run", "grouped", "read_dry_run"]

_STEP = re.compile(r"^Shell command: .*?python -m evidence_hpo\.steps\.(\w+) .*--log (\S+)")
_WHERE = re.compile(
    r"logs/(?:(?P<architecture>criteria|evidence|share|joint)/)?(?:(?P<stage>[^/]+)/)?(?:round_(?P<round>\d+)/)?"
)

# As Snakemake words them, the one that says most first: a job whose settings changed also misses nothing.
_REASONS = {
    "Params have changed": "settings or code changed",
    "Code has changed": "the rule changed",
    "Software environment definition has changed": "the environment changed",
    "Set of input files has changed": "reads other files than before",
    "Updated input files": "an input file changed",
    "Missing output files": "not made yet",
    "Input files updated by another job": "follows from another job",
    "Forced execution": "forced",
}


@dataclass(frozen=True)
class PlannedJob:
    """A job that would run: its rule, where it belongs, and the first of its reasons in plain words."""

    rule: str
    reason: str
    architecture: str | None = None
    stage: str | None = None
    round: int | None = None


def dry_run(command: Sequence[str]) -> list[PlannedJob]:
    """Return the jobs that would run.

    Args:
        command: Snakemake's command line, with Snakefile and configuration.

    Raises:
        ConfigurationError: Snakemake refuses; the message is its last line.
    """
    options = ["--dry-run", "--printshellcmds", "--nolock"]
    finished = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    if finished.returncode:
        last = ((finished.stderr.strip() or finished.stdout.strip()).splitlines() or ["no message"])[-1]
        raise ConfigurationError(f"the dry run failed: {last}")
    return read_dry_run(finished.stdout + finished.stderr)


def read_dry_run(text: str) -> list[PlannedJob]:
    """Return the jobs of a dry run's output; the step that a job starts bears the name of its rule."""
    jobs = []
    reason = ""
    for line in text.splitlines():
        if line.startswith("Reason: "):
            reason = line.removeprefix("Reason: ")
        elif (step := _STEP.match(line)) is not None:
            where = _WHERE.search(step[2])
            found = where.groupdict() if where else {}
            round_ = found.get("round")
            jobs.append(
                PlannedJob(
                    step[1],
                    _plain(reason),
                    found.get("architecture"),
                    found.get("stage"),
                    None if round_ is None else int(round_),
                )
            )
            reason = ""
    return jobs


def _plain(reason: str) -> str:
    return next((plain for theirs, plain in _REASONS.items() if theirs in reason), reason.split(":")[0] or "unknown")


def grouped(jobs: Iterable[PlannedJob]) -> dict[str, dict[str, int]]:
    """Return rule -> reason -> number of jobs, rules by name and the commonest reason first."""
    counts: dict[str, Counter[str]] = {}
    for job in jobs:
        counts.setdefault(job.rule, Counter())[job.reason] += 1
    return {rule: dict(counts[rule].most_common()) for rule in sorted(counts)}
