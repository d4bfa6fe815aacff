"""The command `reproduce`: a recorded run again, from its weights or from its data, beside its old numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evidence_hpo.errors import DataError
from evidence_hpo.logs import open_log
from evidence_hpo.storage import storage_errors

if TYPE_CHECKING:
    from evidence_hpo.reproduction.differences import Difference
    from evidence_hpo.reproduction.recorded import RecordedRun

__all__ = ["reproduce"]

_WIDTH_WITHOUT_TERMINAL = 160
_SHOWN_CHARACTERS = 44


class Mode(StrEnum):
    """What is repeated."""

    eval = "eval"
    train = "train"


RunId = Annotated[
    str,
    typer.Option(
        help="criteria/final/seed_0, the name of a run in results/runs, the path of a record.json, or an MLflow id."
    ),
]
Tolerance = Annotated[float, typer.Option(min=0.0, help="Largest difference of a metric that counts as the same.")]
ModeOption = Annotated[
    Mode, typer.Option(help="eval: score the recorded weights again; train: train them again first.")
]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow store of an MLflow id; default: that of the study, results/mlflow.db.")
]
Experiment = Annotated[str | None, typer.Option(help="MLflow experiment that the run must be in.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")]


def reproduce(
    run_id: RunId,
    tolerance: Tolerance = 0.005,
    mode: ModeOption = Mode.eval,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    as_json: Json = False,
) -> None:
    """Repeat a recorded run in the folder of its study and compare the numbers; nothing of the study is changed.

    First it says what differs from how the run was made. Changed data or weights are refused. The result is written to
    results/reproduce/<run>/<mode>.json.

    Exit codes: 0 all metrics within the tolerance, 1 not, or refused, 2 an option or the machine, 3 a run, file or
    local store is missing, 4 storage, 5 the tracking store cannot be reached.

    Example: evidence-hpo reproduce --run-id criteria/final/seed_0 --mode train
    """
    # As in a job of the workflow: threads are a setting of the run.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from evidence_hpo.reproduction.recorded import find_record, read_recorded_run, run_name
    from evidence_hpo.reproduction.tracked import DEFAULT_URI, record_of_tracked_run
    from evidence_hpo.reproduction.verdict import result_path

    path = find_record(run_id, lambda given: record_of_tracked_run(given, tracking_uri or DEFAULT_URI, experiment))
    with storage_errors():
        # A refusal must not leave the verdict of an earlier reproduction behind.
        result_path(run_name(path), mode).unlink(missing_ok=True)
        result = _reproduced(read_recorded_run(path), run_id, mode, tolerance, as_json)
    if as_json:
        import json

        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print_result(result)
    if result["status"] != "passed":
        raise typer.Exit(1)


def _reproduced(run: RecordedRun, run_id: str, mode: Mode, tolerance: float, quiet: bool) -> dict[str, Any]:
    from evidence_hpo.reproduction.differences import differences, refuse_changed
    from evidence_hpo.reproduction.replay import recorded_scores, replayed_scores, splits_of
    from evidence_hpo.reproduction.retraining import retrained, versions_here
    from evidence_hpo.reproduction.verdict import compare, result_document, result_path
    from evidence_hpo.schemas import write_artefact

    train = mode is Mode.train
    splits = dict.fromkeys([*(("train", "validation") if train else ()), *splits_of(run)])
    found = differences(run, list(splits), versions_here(run), train=train)
    if not quiet:
        _print_differences(run, found)
    refuse_changed(run, found)
    recorded = recorded_scores(run)
    if not recorded and not train:
        raise DataError(f"{run.path}: no scores of these weights are recorded yet; run the evaluation first")
    weights = None
    if train:
        with open_log(Path("results/logs/reproduce") / f"{run.name}.log"), retrained(run) as finished:
            assert finished.model is not None
            weights, replayed = finished.model_sha256, replayed_scores(run, finished.model)
    else:
        replayed = replayed_scores(run, run.model)
    rows = compare(recorded, replayed, tolerance)
    result = result_document(run, run_id, mode, tolerance, rows, found, weights)
    write_artefact(result_path(run.name, mode), "reproduction", result)
    return result


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def _print_differences(run: RecordedRun, found: Sequence[Difference]) -> None:
    from rich.table import Table

    console = _console()
    if not run.origin:
        console.print(f"{run.path}: has no provenance beside it; hardware and all versions cannot be compared")
    if run.record["role"] in ("final", "refit") and run.evaluation is None:
        console.print(f"{run.name}: no evaluation.json holds these weights, so no score of the test split is compared")
    if not found:
        console.print(f"{run.name}: data, model, code, versions and hardware are as recorded")
        return
    table = Table("differs", "what", "recorded", "here", title=f"{run.name}: not as recorded", title_justify="left")
    for one in found:
        table.add_row(one.kind, one.what, _cut(one.recorded), _cut(one.here))
    console.print(table)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _print_result(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    console, metrics, tolerance = _console(), result["metrics"], result["tolerance"]
    names = [name.removeprefix("original_") for name in metrics if name.startswith("original_")]
    table = Table("", "metric", "Original", "Replayed", "Delta", title=f"{result['run']}: {result['mode']}")
    table.title_justify = "left"
    for name in names:
        values = [metrics[f"{part}_{name}"] for part in ("original", "replayed", "delta")]
        table.add_row("ok" if values[2] <= tolerance else "NO", name, *(f"{value:.4f}" for value in values))
    console.print(table)
    if result["weights"]:
        console.print(_about_weights(result))
    outside = sum(metrics[f"delta_{name}"] > tolerance for name in names)
    if result["status"] == "passed":
        console.print(f"REPRODUCIBILITY CHECK PASSED: all {len(names)} metrics within {tolerance:g}")
    elif outside:
        console.print(
            f"REPRODUCIBILITY CHECK FAILED: {outside} of {len(names)} metrics differ by more than {tolerance:g}"
        )
    else:
        console.print("REPRODUCIBILITY CHECK FAILED: there is no metric to compare, and the weights differ")


def _about_weights(result: Mapping[str, Any]) -> str:
    weights = result["weights"]
    if weights["identical"]:
        return "weights: identical, bit for bit (SHA-256)"
    if weights["expected"]:
        return "weights: DIFFER, though data, code, versions and hardware are as recorded; please report it"
    kinds = sorted({one["kind"] for one in result["differences"] if one["kind"] != "commit"})
    return f"weights: differ in bits, as they may where {', '.join(kinds)} differ"
