"""The command `show-best`: the best trials so far, of finished stages and of stages under way."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo.cli.results import StageResults, found_stages, read_stage
from evidence_hpo.errors import DataError

__all__ = ["OutputFormat", "ranked", "show_best"]

_WIDTH_WITHOUT_TERMINAL = 160
_RANK = {"complete": 0, "pruned": 1, "failed": 2}


class OutputFormat(StrEnum):
    """How the trials are printed."""

    table = "table"
    json = "json"
    csv = "csv"


Architecture = Annotated[str | None, typer.Option(help="Architecture; default: all that have trials.")]
Stage = Annotated[str | None, typer.Option(help="Stage; default: the one with the newest trials.")]
Top = Annotated[int, typer.Option(min=1, help="Number of trials.")]
Format = Annotated[OutputFormat, typer.Option("--format", help="table, json or csv.")]


def show_best(
    architecture: Architecture = None, stage: Stage = None, top: Top = 10, output: Format = OutputFormat.table
) -> None:
    """Show the best trials of a stage, finished or under way, and what matters in it.

    Complete trials come first, by their validation score; then pruned ones, by how far they came. The best of many
    scores is too good on average: see results/retrain_summary.json for means over fresh seeds.

    Example: evidence-hpo show-best --architecture criteria --top 5
    """
    shown = [_described(one, top) for one in _selected(Path.cwd(), architecture, stage)]
    if output is OutputFormat.json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    elif output is OutputFormat.csv:
        _write_csv(shown)
    else:
        _print_tables(shown)


def _selected(root: Path, architecture: str | None, stage: str | None) -> list[StageResults]:
    """Return the stages that were asked for.

    Raises:
        DataError: There are no trials, or no such architecture or stage.
    """
    found = found_stages(root)
    if not found:
        raise DataError(f"{root / 'results'}: no study there; start one with `evidence-hpo run`, or change the folder")
    if architecture is not None and architecture not in found:
        raise DataError(f"--architecture {architecture}: has no trials; there are {', '.join(found)}")
    names = [architecture] if architecture is not None else list(found)
    having = [name for name in names if stage is None or stage in found[name]]
    if not having:
        known = sorted({one for name in names for one in found[name]})
        raise DataError(f"--stage {stage}: has no trials; there are {', '.join(known)}")
    return [read_stage(root, name, stage or found[name][-1]) for name in having]


def ranked(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return trials, best first: complete ones by value, pruned ones by epochs and then value, failed ones."""

    def place(trial: Mapping[str, Any]) -> tuple[int, float, float, int]:
        epochs = 0.0 if trial["state"] == "complete" else _epochs(trial)
        value = trial["value"] if trial["value"] is not None else float("-inf")
        return _RANK[trial["state"]], -epochs, -value, trial["number"]

    return sorted(trials, key=place)


def _epochs(trial: Mapping[str, Any]) -> float:
    return float(trial["evaluations"][-1]["epoch"]) if trial["evaluations"] else 0.0


def _described(results: StageResults, top: int) -> dict[str, Any]:
    from evidence_hpo.evaluation.importance import parameter_importances  # loads optuna

    found = parameter_importances(results.trials, results.space)
    states = Counter(trial["state"] for trial in results.trials)
    return {
        "architecture": results.architecture,
        "stage": results.stage,
        "objective": results.trials[0]["objective"] if results.trials else None,
        "finished": len(results.trials),
        "proposed": results.proposed,
        "states": {state: states[state] for state in _RANK},
        "trials": [
            {
                "number": trial["number"],
                "score": trial["value"],
                "state": trial["state"],
                "epochs": _epochs(trial),
                "of_epochs": trial["epochs"],
                "parameters": trial["sampled"],
            }
            for trial in ranked(results.trials)[:top]
        ],
        "importances": found.values,
        "importances_note": found.reason,
        "only_in_some_trials": list(found.left_out),
    }


def _write_csv(shown: Sequence[Mapping[str, Any]]) -> None:
    rows = [(stage, trial) for stage in shown for trial in stage["trials"]]
    names = sorted({name for _, trial in rows for name in trial["parameters"]})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["architecture", "stage", "number", "score", "state", "epochs", *names])
    for stage, trial in rows:
        fixed = [trial[key] for key in ("number", "score", "state", "epochs")]
        values = [trial["parameters"].get(name, "") for name in names]
        writer.writerow([stage["architecture"], stage["stage"], *fixed, *values])


def _print_tables(shown: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    for stage in shown:
        states = ", ".join(f"{count} {state}" for state, count in stage["states"].items() if count)
        console.print(
            f"[bold]{stage['architecture']}, {stage['stage']}[/bold]: {stage['finished']} of {stage['proposed']} "
            f"proposed trials are finished{f' ({states})' if states else ''}"
        )
        if stage["trials"]:
            console.print(_trials_table(stage, console.width))
        table = Table("parameter", "share of the variance (fANOVA)", box=None, pad_edge=False)
        for name, value in stage["importances"].items():
            table.add_row(name, f"{value:.3f}")
        console.print(table if stage["importances"] else f"importances: {stage['importances_note']}")
        if stage["only_in_some_trials"]:
            console.print(f"not in it, as they act in some trials only: {', '.join(stage['only_in_some_trials'])}")


def _trials_table(stage: Mapping[str, Any], width: int) -> Any:
    """Return a table with a column for each parameter, or with all in one where they do not fit."""
    from rich.table import Table

    names = sorted({name for trial in stage["trials"] for name in trial["parameters"]})
    cells = [{name: _shown(trial["parameters"].get(name)) for name in names} for trial in stage["trials"]]
    widths = [max(len(name), *(len(row[name]) for row in cells)) for name in names]
    wide = sum(widths) + 3 * len(names) + 48 <= width
    table = Table("trial", str(stage["objective"]), "state", "epochs", *(names if wide else ["sampled parameters"]))
    for trial, row in zip(stage["trials"], cells, strict=True):
        score = "-" if trial["score"] is None else f"{trial['score']:.4f}"
        epochs = f"{trial['epochs']:g} of {trial['of_epochs']}"
        parameters = list(row.values()) if wide else [", ".join(f"{k} {v}" for k, v in row.items() if v)]
        table.add_row(str(trial["number"]), score, trial["state"], epochs, *parameters)
    return table


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
