"""The command `plan`: what a run would do, why, and what it would cost, before anything starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo.cli.results import found_stages, read_stage
from evidence_hpo.cli.workflow import (
    Overlays,
    Overrides,
    checked_configuration,
    settings_options,
    snakemake_command,
)
from evidence_hpo.errors import ConfigurationError

__all__ = ["plan", "planned"]

_WIDTH_WITHOUT_TERMINAL = 160
_RETRAINING_RULES = ("retrain_config", "retrain_chosen", "refit_chosen")


class PlanFormat(StrEnum):
    """How the plan is printed."""

    table = "table"
    json = "json"


Cores = Annotated[str, typer.Option(help="Processor cores that the run would have, or 'all'.")]
Format = Annotated[PlanFormat, typer.Option("--format", help="table or json.")]


def plan(
    configfile: Overlays = None,
    override: Overrides = None,
    cores: Cores = "all",
    output: Format = PlanFormat.table,
) -> None:
    """Say what a run would do and why, and estimate its hours and its disk, without starting anything.

    Jobs and reasons are those of Snakemake's dry run. Hours rest on the trials that are finished here, else on a rough
    model; every estimate says which.

    Example: evidence-hpo plan --configfile presets/redsm5.yaml --cores 16
    """
    content = planned(configfile, override, cores)
    if output is PlanFormat.json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print(content)


def planned(configfile: list[Path] | None, override: list[str] | None, cores: str) -> dict[str, Any]:
    """Return the plan.

    Raises:
        ConfigurationError: The configuration or ``cores`` is wrong, or Snakemake refuses.
    """
    from evidence_hpo.cli.disk import disk_parts
    from evidence_hpo.cli.dry_run import dry_run, grouped
    from evidence_hpo.cli.estimates import Estimator, stage_plans
    from evidence_hpo.graph import StudyGraph
    from evidence_hpo.workload import manifests

    root = Path.cwd()
    configuration = checked_configuration(configfile, override)
    available = _cores(cores)
    options = settings_options(configfile, override)
    jobs = dry_run([*snakemake_command(), "--cores", str(available), *options])
    study = StudyGraph(configuration)
    plans = stage_plans(study, jobs)
    records = {
        (architecture, stage): read_stage(root, architecture, stage).trials
        for architecture, stages in found_stages(root).items()
        for stage in stages
    }
    estimator = Estimator(configuration, root, records)
    stages = []
    for one in plans:
        hours = estimator.stage(one, study.searched_space(one.architecture, one.stage))
        stages.append(
            {
                "architecture": one.architecture,
                "stage": one.stage,
                "trials": one.settings.trials,
                "trials_to_run": one.to_run,
                "rounds": one.settings.round_sizes,
                "shards": [one.settings.shards_of(number) for number in range(len(one.settings.round_sizes))],
                "epochs": one.settings.epochs,
                "data_fraction": one.settings.data_fraction,
                "hours": asdict(hours),
            }
        )
    concurrent = max(1, available // study.threads) * study.trials_per_gpu
    disk = disk_parts(configuration, root, manifests(configuration, root), concurrent)
    return {
        "jobs": len(jobs),
        "rules": grouped(jobs),
        "stages": stages,
        "retraining": _retraining(study, estimator, Counter((job.rule, job.architecture) for job in jobs)),
        "disk": {
            "parts": [asdict(part) for part in disk],
            "peak_bytes": sum(part.size for part in disk),
            "free_bytes": shutil.disk_usage(root).free,
        },
    }


def _retraining(study: Any, estimator: Any, jobs: Mapping[tuple[str, str | None], int]) -> list[dict[str, Any]]:
    """Return runs and hours of the retrained configurations; the space of the last stage stands for theirs."""
    rows = []
    for architecture in study.architectures:
        of_rule = [jobs.get((rule, architecture), 0) for rule in _RETRAINING_RULES]
        name, last = list(study.stages_of(architecture).items())[-1]
        epochs = study.configuration.retrain.epochs or last.epochs
        seconds, basis = estimator.run_seconds(architecture, study.searched_space(architecture, name), epochs, 1.0)
        # Seeds of all configurations run side by side, then those of the chosen one, refits among them.
        rounds = (of_rule[0] > 0) + any(of_rule[1:])
        hours = {"work": sum(of_rule) * seconds / 3600, "at_once": rounds * seconds / 3600, "basis": basis}
        rows.append({"architecture": architecture, "runs": sum(of_rule), "epochs": epochs, "hours": hours})
    return rows


def _cores(text: str) -> int:
    if text == "all":
        return os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise ConfigurationError(f"--cores {text}: give a number of at least 1, or all")
    return int(text)


def _print(content: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    if not content["jobs"]:
        console.print("nothing to do: all files are there and up to date")
        return
    console.print(_rules_table(content["rules"], content["jobs"]))
    console.print(_hours_table(content["stages"], content["retraining"]))
    bases = {row["hours"]["basis"]: row for row in (*content["stages"], *content["retraining"]) if row["hours"]["work"]}
    for basis in bases:
        console.print(f"hours rest on: {basis}")
    console.print(_disk_table(content["disk"]))
    disk = content["disk"]
    enough = "enough" if disk["free_bytes"] > disk["peak_bytes"] else "NOT ENOUGH"
    console.print(f"disk: {disk['free_bytes'] / 1e9:.1f} GB are free here, {enough}")


def _rules_table(rules: Mapping[str, Mapping[str, int]], jobs: int) -> Any:
    from rich.table import Table

    table = Table("rule", "jobs", "why", title=f"{jobs} jobs", title_justify="left")
    for rule, reasons in rules.items():
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        table.add_row(rule, str(sum(reasons.values())), why)
    return table


def _hours_table(stages: Sequence[Mapping[str, Any]], retraining: Sequence[Mapping[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("architecture", "stage", "trials", "to run", "rounds", "shards", "epochs", "data", "hours", "at once")
    for row in stages:
        hours = row["hours"]
        table.add_row(
            row["architecture"],
            row["stage"],
            str(row["trials"]),
            str(row["trials_to_run"]),
            _runs(row["rounds"]),
            _runs(row["shards"]),
            str(row["epochs"]),
            f"{row['data_fraction']:.0%}",
            _hours(hours["work"]),
            _hours(hours["at_once"]),
        )
    for row in retraining:
        hours = row["hours"]
        where = [row["architecture"], "retraining", "", str(row["runs"]), "", "", str(row["epochs"]), "100%"]
        table.add_row(*where, _hours(hours["work"]), _hours(hours["at_once"]))
    rows = [*stages, *retraining]
    total = [_hours(sum(row["hours"][key] for row in rows)) for key in ("work", "at_once")]
    table.add_row("all", "", "", "", "", "", "", "", *total)
    table.caption = (
        "hours: work of all jobs together; at once: with a worker for each job, one architecture after the other"
    )
    table.caption_justify = "left"
    return table


def _runs(numbers: Sequence[int]) -> str:
    """Return numbers with repetitions folded: 64, 2 x 143."""
    folded: list[tuple[int, int]] = []
    for number in numbers:
        if folded and folded[-1][1] == number:
            folded[-1] = (folded[-1][0] + 1, number)
        else:
            folded.append((1, number))
    return ", ".join(str(number) if times == 1 else f"{times} x {number}" for times, number in folded)


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 1 or hours == 0 else f"{hours:.2g}"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f}" if size >= 1e9 else f"{size / 1e9:.2g}"


def _disk_table(disk: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("disk, at its peak", "GB", "rests on")
    for part in disk["parts"]:
        table.add_row(part["what"], _gigabytes(part["size"]), part["basis"])
    table.add_row("all", _gigabytes(disk["peak_bytes"]), "")
    return table
