"""A study's files as runs: identity, nesting, states, and what is passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tracking.store_tables import wanted_runs
from tests.unit.tracking.tracked_files import BEGAN, events_of, record, write_events, write_stage

from evidence_hpo import paths
from evidence_hpo.files import write_json
from evidence_hpo.tracking.results import mirrored
from evidence_hpo.tracking.runs import TrackedRun


def named(root: Path) -> dict[str, TrackedRun]:
    return {run.name: run for run in wanted_runs(root)}


def points(run: TrackedRun, name: str) -> list[tuple[int, float, int]]:
    return [(point.step, point.value, point.time) for point in run.points if point.name == name]


def test_states_names_and_nesting(tmp_path: Path) -> None:
    rows = [record(0), record(1, state="pruned"), record(2, state="failed"), record(3)]
    write_stage(tmp_path, rows, finished=3)
    write_events(tmp_path, events_of(rows[3])[:2])
    runs = named(tmp_path)
    assert list(runs) == ["toy", "criteria/stage1", *(f"trial_00{number}_small" for number in range(4))]
    states = [runs[f"trial_00{number}_small"].state for number in range(4)]
    assert states == ["complete", "pruned", "failed", "running"]
    assert runs["trial_000_small"].tags["trial_status"] == "completed"
    assert runs["criteria/stage1"].parent == runs["toy"].key
    assert {run.parent for name, run in runs.items() if name.startswith("trial")} == {runs["criteria/stage1"].key}
    assert runs["criteria/stage1"].tags["trials.running"] == "1"
    assert runs["criteria/stage1"].state == runs["toy"].state == "running"


def test_values_come_from_the_record_and_times_from_the_events(tmp_path: Path) -> None:
    row = record(0, epochs=2)
    write_stage(tmp_path, [row])
    told = events_of(row)
    for event in told:
        if event["event"] == "metrics":
            event["metrics"] = {**event["metrics"], "macro_f1": 99.0}
    write_events(tmp_path, told)
    run = named(tmp_path)["trial_000_small"]
    values = [one["metrics"]["macro_f1"] for one in row["evaluations"]]
    times = [event["time"] for event in told if event["event"] == "metrics"]
    assert points(run, "val_macro_f1") == [(1, values[0], times[0]), (2, values[1], times[1])]
    assert (run.started, run.ended) == (BEGAN, BEGAN + 9000)
    assert points(run, "system/checkpoint_size_mb")[0][1] == 2.5
    assert points(run, "best_val_macro_f1")[-1][1] == max(values)


def test_a_trial_from_the_cache_without_any_event_has_all_its_points(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0, epochs=3)])
    run = named(tmp_path)["trial_000_small"]
    assert [step for step, _, _ in points(run, "val_loss")] == [1, 2, 3]
    assert run.started == pytest.approx((run.ended or 0) - 2000)


def test_a_run_looked_at_within_epochs_counts_thousandths(tmp_path: Path) -> None:
    row = record(0, epochs=1, rungs=[{"epoch": 0.5, "threshold": None}])
    row["evaluations"] = [{**row["evaluations"][0], "epoch": 0.5}, *row["evaluations"]]
    write_stage(tmp_path, [row])
    run = named(tmp_path)["trial_000_small"]
    assert [step for step, _, _ in points(run, "val_loss")] == [500, 1000]
    assert [value for _, value, _ in points(run, "epoch")] == [0.5, 1.0]


def test_what_an_earlier_configuration_left_is_passed_over(tmp_path: Path) -> None:
    old, new = record(0), record(0, parameters={"backbone": "other", "learning_rate": 1.0}, key="new")
    folder = write_stage(tmp_path, [old])
    write_events(tmp_path, events_of(old))
    before = named(tmp_path)
    write_stage(tmp_path, [new], finished=0)
    assert [run.name for run in wanted_runs(tmp_path)] == ["toy", "criteria/stage1"]
    (folder / "shard_0.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    assert "trial_000_small" not in named(tmp_path)
    write_events(tmp_path, events_of(new))
    after = named(tmp_path)
    assert after["trial_000_other"].state == "complete"
    assert after["trial_000_other"].key != before["trial_000_small"].key
    assert after["criteria/stage1"].key != before["criteria/stage1"].key
    assert after["toy"].key == before["toy"].key


def test_one_content_at_two_places_is_two_runs(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0), record(1, key=record(0)["key"])])
    runs = wanted_runs(tmp_path)
    assert len({run.key for run in runs}) == len(runs) == 4
    assert len({run.tags["content_key"] for run in runs if "content_key" in run.tags}) == 1


def test_the_best_so_far_is_a_curve_that_never_changes(tmp_path: Path) -> None:
    rows = [record(0, value=0.5), record(1, state="pruned"), record(2, value=0.4), record(3, value=0.7), record(4)]
    write_stage(tmp_path, rows, finished=4)
    early = points(named(tmp_path)["criteria/stage1"], "best_trial_value")
    assert [(step, value) for step, value, _ in early] == [(0, 0.5), (3, 0.7)]
    write_stage(tmp_path, [rows[0], rows[2], rows[3]])  # trial 1 is not there yet: what follows may still change
    gap = points(named(tmp_path)["criteria/stage1"], "best_trial_value")
    assert [(step, value) for step, value, _ in gap] == [(0, 0.5)]


def retrain_files(root: Path, *, evaluated: bool) -> None:
    """Write a selection, one record of each role, and the evaluation of trial 0."""
    row = record(0)
    configuration = {"rank": 0, "origin": {"stage": "stage1", "number": 0}, "parameters": row["parameters"]}
    folder = (root / paths.SELECTED.format(architecture="criteria")).parent
    shared = {"study": "toy", "architecture": "criteria", "objective": "macro_f1"}
    write_json(folder / "selected.json", {**shared, "configurations": [configuration]})
    write_json(folder / "chosen.json", {**shared, "chosen_rank": 0, "configuration": configuration})
    for role, where in (("retrain", "rank_0"), ("final", "final")):
        extra = {
            "role": role,
            "rank": 0,
            "seed_index": 0,
            "refit_epochs": None,
            "checkpoint": {"path": "p", "sha256": "s"},
        }
        kept = {name: value for name, value in row.items() if name not in ("rungs", "runtime", "round", "number")}
        write_json(folder / where / "seed_0/record.json", {**kept, **extra, "key": role})
    if evaluated:
        score = {"mean": 0.6, "low": 0.5, "high": 0.7, "per_seed": [0.61]}
        task = {
            "headline": {"thresholds": "global"},
            "metrics": {"global": {"macro_f1": score, "f1": {**score, "low": None}}},
        }
        content: dict[str, Any] = {
            **shared,
            "configuration": {"origin": configuration["origin"], "parameters": row["parameters"]},
            "tasks": {"criteria": task},
            "seeds": [0],
            "split": "test",
            "bootstrap_repeats": 100,
            "confidence": 0.95,
            "digests": {"test": {"criteria": "t"}, "code": "c"},
        }
        write_json(root / paths.EVALUATION.format(architecture="criteria"), content)


def test_retrained_seeds_and_the_evaluation(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0), record(1)])
    retrain_files(tmp_path, evaluated=True)
    runs = named(tmp_path)
    assert runs["final_seed_0_small"].parent == runs["criteria/retrain"].key
    assert runs["final_seed_0_small"].tags["checkpoint.sha256"] == "s"
    assert [value for _, value, _ in points(runs["criteria/evaluation"], "test_macro_f1")] == [0.6]
    assert [value for _, value, _ in points(runs["trial_000_small"], "test_macro_f1_low")] == [0.5]
    assert [value for _, value, _ in points(runs["final_seed_0_small"], "test_macro_f1")] == [0.61]
    assert points(runs["rank_0_seed_0_small"], "test_macro_f1") == []
    assert points(runs["trial_001_small"], "test_macro_f1") == []
    assert points(runs["criteria/evaluation"], "test_f1_low") == []
    assert runs["trial_000_small"].tags["chosen"] == "true"
    assert runs["criteria/evaluation"].tags["data.hash.test.criteria"] == "t"


def test_a_retrained_seed_under_way_is_shown_if_it_is_of_this_study(tmp_path: Path) -> None:
    row = record(0)
    write_stage(tmp_path, [row])
    retrain_files(tmp_path, evaluated=False)
    (tmp_path / "results/criteria/retrain/final/seed_0/record.json").unlink()
    place = {"study": "toy", "architecture": "criteria", "role": "final", "rank": 0, "seed_index": 0}
    start = events_of(row)[0]
    for key, parameters in (("old", {"backbone": "small", "dropout": 0.9}), ("new", row["parameters"])):
        about = {**start["about"], "place": place, "parameters": parameters}
        write_events(tmp_path, [{**start, "key": key, "about": about}], name=key)
    run = named(tmp_path)["final_seed_0_small"]
    assert (run.state, run.tags["content_key"]) == ("running", "new")


def test_lineage_comes_from_the_job_that_wrote_the_record(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0)])
    shard = Path("results/criteria/stage1/round_0/shard_0.jsonl")
    assert mirrored(shard) == Path("results/provenance/criteria/stage1/round_0/shard_0.json")
    record_file = Path("results/criteria/retrain/final/seed_1/record.json")
    assert mirrored(record_file) == Path("results/provenance/criteria/retrain/final/seed_1.json")
    git = {"commit": "abc", "branch": "main", "dirty": True}
    write_json(
        tmp_path / mirrored(shard), {"git": git, "versions": {"torch": "2.13.0"}, "hardware": {"gpus": ["H100"]}}
    )
    tags = named(tmp_path)["trial_000_small"].tags
    assert (tags["git.commit"], tags["git.dirty"], tags["version.torch"]) == ("abc", "true", "2.13.0")
    assert (tags["data.hash.train.criteria"], tags["hardware.gpus"]) == ("a" * 64, "H100")
    assert (tags["stage"], tags["code.hash"]) == ("train", "d")


def single_record(epochs: int, **changes: Any) -> dict[str, Any]:
    row = record(0, epochs=epochs)
    kept = {name: value for name, value in row.items() if name not in ("rungs", "runtime", "round", "number", "stage")}
    return {**kept, "role": "single", "name": "alone", "resumed_from": None, "checkpoint": None, **changes}


def test_a_run_outside_the_search_stays_the_same_run_when_it_goes_on(tmp_path: Path) -> None:
    place = {"study": "toy", "architecture": "criteria", "run": "alone"}
    start = events_of(record(0))[0]
    path = tmp_path / paths.RUN_RECORD.format(run="alone")
    write_events(tmp_path, [{**start, "about": {**start["about"], "place": place}}], name="alone")
    live = named(tmp_path)
    assert (live["alone"].state, live["alone"].parent) == ("running", live["toy"].key)
    write_json(path, single_record(2))
    short = named(tmp_path)["alone"]
    assert [artefact.name for artefact in short.artefacts] == ["record.json"]
    write_json(path, single_record(3, key=None, resumed_from="results/runs/alone"))
    longer = named(tmp_path)["alone"]
    assert live["alone"].key == short.key == longer.key
    assert [step for step, _, _ in points(short, "val_loss")] == [1, 2]
    assert [step for step, _, _ in points(longer, "val_loss")] == [1, 2, 3]
    assert longer.tags["resumed_from"] == "results/runs/alone"
