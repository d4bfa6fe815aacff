"""How long a study takes to be replayed into MLflow, and what its events cost the jobs.

Run `python benchmarks/tracking_sync.py`. In a temporary folder it

1. writes the files of a finished stage: by default 500 trials of 8 epochs, each with its events. A trial has 12 names
   of metrics, or with `--all-names` all that a trial of the criteria task has, in both naming schemes;
2. syncs them into a new SQLite store, syncs again (nothing to do), and once more after the digest tags of all runs
   were removed, which makes the sync read every point that is there;
3. appends events as a job does, and divides.

Prints seconds and counts, which are read from the store's own tables. Making the store's tables and importing MLflow
are timed apart: they cost the same for any study.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.files import digest_json, write_json, write_json_lines
from evidence_hpo.tracking.events import append_event
from evidence_hpo.tracking.sync import Synced, Syncer

ALL = ("loss", "accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "precision", "recall", "f1")
BEGAN = 1_700_000_000_000


def row(number: int, epochs: int, *, all_names: bool) -> dict[str, Any]:
    """Return the record of a trial; with few names 12 points an epoch, else as many as a real one has."""
    metrics = (*ALL, "roc_auc") if all_names else ("macro_f1", "weighted_f1", "loss_ratio", "kappa", "mcc", "brier")
    train = ALL[:4] if all_names else ("macro_f1", "weighted_f1", "brier")
    evaluations = [
        {
            "epoch": float(epoch),
            "train": dict.fromkeys(train, (number * 13 + epoch) % 89 / 89),
            "metrics": {name: ((number * 31 + epoch * 7 + place) % 97) / 97 for place, name in enumerate(metrics)},
        }
        for epoch in range(1, epochs + 1)
    ]
    parameters = {f"parameter_{place}": ((number + place) % 53) / 53 for place in range(25)} | {"backbone": "small"}
    return {
        "study": "benchmark",
        "architecture": "criteria",
        "stage": "stage1",
        "round": 0,
        "number": number,
        "key": digest_json(["trial", number]),
        "state": "complete",
        "value": max(one["metrics"]["macro_f1"] for one in evaluations),
        "sampled": {},
        "parameters": parameters,
        "seed": number,
        "epochs": epochs,
        "data_fraction": 1.0,
        "rungs": [],
        "origin": None,
        "objective": "macro_f1",
        "early_stopping_patience": 0,
        "runtime": {"device": "cpu", "threads": 1},
        "evaluations": evaluations,
        "best_epoch": 1.0,
        "reason": None,
        "precision": "fp32",
        "notes": [],
        "digests": {"train": {"criteria": "a"}, "validation": {"criteria": "b"}, "backbone": "c", "code": "d"},
        "versions": {"python": "3.11"},
        "duration_seconds": 8.0,
    }


def events_of(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the job of a trial writes."""
    place = {name: one[name] for name in ("study", "architecture", "stage", "round", "number")}
    began = BEGAN + 10_000 * one["number"]
    events: list[dict[str, Any]] = [{"event": "run_started", "time": began, "about": {**one, "place": place}}]
    for number, evaluation in enumerate(one["evaluations"], start=1):
        moment = began + 1000 * number
        values = {"epoch_duration_sec": 1.0, "checkpoint_size_mb": 440.0}
        events.append({"event": "metrics", "time": moment, "step": number, **evaluation})
        events.append({"event": "system", "time": moment, "epoch": evaluation["epoch"], "values": values})
    result = {name: one[name] for name in ("state", "value", "best_epoch", "reason", "precision", "duration_seconds")}
    events.append({"event": "run_finished", "time": began + 9000, "result": result})
    return [{**event, "key": one["key"]} for event in events]


def write_study(root: Path, trials: int, epochs: int, *, all_names: bool) -> None:
    """Write the stage, its events and its summary."""
    rows = [row(number, epochs, all_names=all_names) for number in range(trials)]
    folder = (root / paths.PROPOSALS.format(architecture="criteria", stage="stage1", round=0)).parent
    shared = ("study", "architecture", "stage", "round", "epochs", "data_fraction", "objective", "runtime")
    proposed = [{name: one[name] for name in ("number", "seed", "parameters", "rungs")} for one in rows]
    content = {name: rows[0][name] for name in shared} | {"early_stopping_patience": 0, "seed": 1, "trials": proposed}
    write_json(folder / "proposals.json", content)
    write_json_lines(folder / "shard_0.jsonl", rows)
    write_json_lines(folder.parent / "trials.jsonl", rows)
    write_json(folder.parent / "summary.json", {"trials": trials})
    for one in rows:
        for event in events_of(one):
            append_event(root / paths.EVENTS / "criteria/stage1/round_0/shard_0.jsonl", event)


def timed(what: str, action: Callable[[], Synced]) -> None:
    """Print how long a sync took and what it did."""
    began, worked = time.monotonic(), time.process_time()
    synced = action()
    seconds, processor = time.monotonic() - began, time.process_time() - worked
    done = f"{synced.written_runs} runs and {synced.written_points} points written"
    print(f"{what:34} {seconds:7.1f} s ({processor:.1f} s of the processor), {done}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--all-names", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        began = time.monotonic()
        Syncer(root, TrackingSettings()).sync()  # imports nothing yet: there is no study
        (root / "empty").mkdir()
        write_study(root / "empty", 1, 1, all_names=arguments.all_names)
        Syncer(root / "empty", TrackingSettings()).sync()
        print(f"{'importing MLflow, a new store':34} {time.monotonic() - began:7.1f} s")
        (root / paths.TRACKING_DATABASE).parent.mkdir(parents=True, exist_ok=True)
        source = sqlite3.connect(root / "empty" / paths.TRACKING_DATABASE)
        source.execute("UPDATE experiments SET name = 'other' WHERE name = 'evidence-hpo'")
        source.commit()
        source.close()
        (root / "empty" / paths.TRACKING_DATABASE).rename(root / paths.TRACKING_DATABASE)
        write_study(root, arguments.trials, arguments.epochs, all_names=arguments.all_names)
        timed("sync", Syncer(root, TrackingSettings()).sync)
        timed("nothing to do", Syncer(root, TrackingSettings()).sync)
        store = sqlite3.connect(root / paths.TRACKING_DATABASE)
        store.execute("DELETE FROM tags WHERE key = 'evidence_hpo.digest'")
        store.commit()
        timed("all runs looked at point by point", Syncer(root, TrackingSettings()).sync)
        counts = [
            store.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0]
            for what in ("metrics", "(SELECT DISTINCT run_uuid, key, step FROM metrics)", "runs")
        ]
        print(f"in the store: {counts[0]} points, {counts[1]} different ones, {counts[2]} runs (3 of another study)")
        events = events_of(row(0, arguments.epochs, all_names=True))
        began = time.monotonic()
        for number in range(2000):
            append_event(root / "one.jsonl", events[1 + number % 2])
        print(f"{'an event':34} {(time.monotonic() - began) / 2000 * 1e6:7.0f} microseconds")


if __name__ == "__main__":
    main()
