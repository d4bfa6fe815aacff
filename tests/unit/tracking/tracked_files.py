"""Files of a study as the tracking reads them, of any size; the numbers in them follow from their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.files import digest_json, write_json, write_json_lines
from evidence_hpo.tracking.events import append_event

METRICS = ("loss", "accuracy", "macro_f1", "weighted_f1", "precision", "recall", "f1", "roc_auc")
BEGAN = 1_700_000_000_000


def record(number: int, epochs: int = 2, *, state: str = "complete", **changes: Any) -> dict[str, Any]:
    """Return the record of a trial of ``criteria``."""
    parameters = {"backbone": "small", "learning_rate": 1e-3 / (number + 1), "batch_size": 16, "dropout": 0.1}
    evaluations = [
        {
            "epoch": float(epoch),
            "train": {name: _value(number, epoch, name) for name in METRICS[:4]},
            "metrics": {name: _value(number, epoch, name) + 1 for name in METRICS},
        }
        for epoch in range(1, epochs + 1)
    ]
    digests = {"train": {"criteria": "a" * 64}, "validation": {"criteria": "b" * 64}, "backbone": "c", "code": "d"}
    return {
        "study": "toy",
        "architecture": "criteria",
        "stage": "stage1",
        "round": 0,
        "number": number,
        "key": digest_json(["trial", number]),
        "state": state,
        "value": max(one["metrics"]["macro_f1"] for one in evaluations) if state == "complete" else None,
        "sampled": {"learning_rate": parameters["learning_rate"]},
        "parameters": parameters,
        "seed": 1000 + number,
        "epochs": epochs,
        "data_fraction": 1.0,
        "rungs": [{"epoch": 1.0, "threshold": None}],
        "origin": None,
        "objective": "macro_f1",
        "early_stopping_patience": 0,
        "runtime": {"device": "cpu", "threads": 1},
        "evaluations": evaluations,
        "best_epoch": 1.0,
        "reason": None if state == "complete" else "why",
        "precision": "fp32",
        "notes": [],
        "digests": digests,
        "versions": {"python": "3.11"},
        "duration_seconds": 2.0,
        **changes,
    }


def _value(number: int, epoch: int, name: str) -> float:
    return ((number * 31 + epoch * 7 + METRICS.index(name)) % 97) / 97


def write_stage(root: Path, records: list[dict[str, Any]], *, finished: int | None = None) -> Path:
    """Write a stage of one round; of its trials the first ``finished`` have records. Return the round's folder."""
    folder = (root / paths.PROPOSALS.format(architecture="criteria", stage="stage1", round=0)).parent
    shared = ("study", "architecture", "stage", "round", "epochs", "data_fraction", "objective", "runtime")
    first = records[0]
    trials = [
        {name: row[name] for name in ("number", "seed", "sampled", "parameters", "rungs", "origin")} for row in records
    ]
    proposals = {name: first[name] for name in shared} | {"early_stopping_patience": 0, "seed": 42, "trials": trials}
    write_json(folder / "proposals.json", proposals)
    write_json_lines(folder / "shard_0.jsonl", records[:finished])
    return folder


def events_of(row: dict[str, Any], began: int = BEGAN, *, cached: bool = False) -> list[dict[str, Any]]:
    """Return the events that the job of a trial writes."""
    place = {name: row[name] for name in ("study", "architecture", "stage", "round", "number")}
    about = {name: row[name] for name in ("architecture", "parameters", "seed", "epochs", "data_fraction", "objective")}
    about |= {"place": place, "digests": row["digests"], "rungs": [1.0], "cached": cached, "label": "trial"}
    began += 10_000 * row["number"]
    events: list[dict[str, Any]] = [{"event": "run_started", "time": began, "about": about}]
    for number, one in enumerate(row["evaluations"], start=1):
        moment = began + (0 if cached else 1000 * number)
        events.append({"event": "metrics", "time": moment, "step": 5 * number, **one})
        if not cached:
            values = {"epoch_duration_sec": 1.0, "checkpoint_size_mb": 2.5, "disk_free_gb": 10.0}
            events.append({"event": "system", "time": moment + 1, "epoch": one["epoch"], "values": values})
    result = {name: row[name] for name in ("state", "value", "best_epoch", "reason", "precision", "duration_seconds")}
    events.append({"event": "run_finished", "time": began + 9000, "result": result})
    return [{**event, "key": row["key"]} for event in events]


def write_events(root: Path, events: list[dict[str, Any]], name: str = "shard_0") -> Path:
    """Append events to the file of a shard's job."""
    path = root / paths.EVENTS / f"criteria/stage1/round_0/{name}.jsonl"
    for event in events:
        append_event(path, event)
    return path


def write_study(root: Path, trials: int, epochs: int = 2) -> None:
    """Write a stage with all trials finished, their events, and the stage's summary."""
    rows = [record(number, epochs) for number in range(trials)]
    folder = write_stage(root, rows)
    for row in rows:
        write_events(root, events_of(row))
    write_json_lines(folder.parent / "trials.jsonl", rows)
    write_json(folder.parent / "summary.json", {"trials": trials})
