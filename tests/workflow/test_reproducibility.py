"""The same study gives the same bytes: any number of shards and jobs, another folder, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from tests.workflow.study import TINY, Study, make_study, overlay

pytestmark = pytest.mark.workflow

SAME_BYTES = [
    "splits/splits.json",
    "criteria/stage1/space.json",
    "criteria/stage1/round_0/proposals.json",
    "criteria/stage1/round_1/proposals.json",
    "criteria/stage2/space.json",
    "criteria/stage2/round_0/proposals.json",
    "criteria/stage2/round_1/proposals.json",
    "criteria/retrain/selected.json",
    "criteria/retrain/chosen.json",
    "criteria/retrain/final/seed_0/model/model.safetensors",
    "criteria/retrain/final/seed_0/model/checkpoints/epoch_001.safetensors",
    "criteria/evaluation/evaluation.json",
    "criteria/evaluation/predictions.parquet",
    "retrain_summary.json",
    "evaluation_report.json",
    "models/criteria/model.safetensors",
    "models/criteria/config.json",
    "models/criteria/evidence_hpo.json",
    "study_summary.json",
]
TIMED = {"criteria/search_analysis.json": ["timing"], "criteria/stage1/summary.json": ["timing", "duration_seconds"]}
"""Files with keys that hold durations or depend on the sharding; all else in them must be the same."""
RECORDS = ["criteria/stage1/trials.jsonl", "criteria/stage2/trials.jsonl"]


def contents(study: Study) -> dict[str, bytes]:
    """Return what must be the same in every run: files as they are, but without durations."""
    results = study.folder / "results"
    found = {name: (results / name).read_bytes() for name in SAME_BYTES}
    for name in RECORDS:
        rows = [json.loads(line) for line in (results / name).read_text(encoding="utf-8").splitlines()]
        for row in rows:
            assert row.pop("duration_seconds") > 0
        found[name] = json.dumps(rows, sort_keys=True).encode()
    for name, keys in TIMED.items():
        content = json.loads((results / name).read_text(encoding="utf-8"))
        for key in keys:
            assert content.pop(key)
        found[name] = json.dumps(content, sort_keys=True).encode()
    return found


def differing(one: Study, other: Study) -> list[str]:
    left, right = contents(one), contents(other)
    return [name for name in left if left[name] != right[name]]


def test_four_shards_two_jobs_and_another_folder_change_nothing(finished: Study, tmp_path: Path) -> None:
    sharded = overlay(TINY, {"search.stages.0.shards": 4, "search.stages.1.shards": 4})
    study = make_study(tmp_path, sharded)
    study.run("--cores", "2")
    shards = {path.name for path in (study.folder / "results/criteria/stage1/round_0").glob("shard_*.jsonl")}
    assert shards == {"shard_0.jsonl", "shard_1.jsonl", "shard_2.jsonl"}, "a round has no more shards than trials"
    assert differing(finished, study) == []


def _kill_everything(process: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def test_killed_five_times_and_continued_changes_nothing(finished: Study, tmp_path: Path) -> None:
    study = make_study(tmp_path, TINY)
    moments = random.Random(4)
    kills = 0
    while kills < 5:
        command = study.command("run", "--cores", "2", program="evidence-hpo")
        with (study.folder / "output.txt").open("ab") as output:
            process = subprocess.Popen(command, cwd=study.folder, env=study.environment, stdout=output, stderr=output)
        time.sleep(moments.uniform(6.0, 16.0))
        if process.poll() is not None:
            break
        _kill_everything(process)
        kills += 1
    assert kills >= 3, "the study ended before it could be killed often enough to show anything"
    last = study.run("run", "--cores", "2", program="evidence-hpo")
    assert "cleared the lock of a run that was killed" in last.stderr + (study.folder / "output.txt").read_text()
    assert differing(finished, study) == []


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path, TINY)
    first = subprocess.Popen(
        study.command("run", "--cores", "1", program="evidence-hpo"),
        cwd=study.folder,
        env=study.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        claim = study.folder / "results/work/run.lock"
        while not claim.exists():
            time.sleep(0.1)
        time.sleep(1.0)
        second = study.run("run", "--cores", "1", program="evidence-hpo", check=False)
    finally:
        _kill_everything(first)
    assert second.returncode == 4
    assert "another run holds this folder" in second.stderr
    assert "Traceback" not in second.stderr
