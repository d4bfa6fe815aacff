"""The workflow on a real SLURM: what it makes, whatever happens to its jobs, is what a quiet local run makes."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.faults import Faults, Run, on_slurm, wait_for_text
from tests.cluster.slurm_cluster import SlurmCluster
from tests.workflow.study import TINY, Study, make_study, overlay
from tests.workflow.test_reproducibility import differing

pytestmark = pytest.mark.cluster

SHARD = "results/criteria/stage1/round_0/shard_0.jsonl"
LOG = "results/logs/criteria/stage1/round_0/shard_0.log"
ONE_LONG_TRIAL = {
    "search.stages.stage1.trials": 2,
    "search.stages.stage1.first_round": 2,
    "search.stages.stage1.shards": 2,
    "search.stages.stage1.epochs": 250,
    "search.stages.stage1.pruner.kind": "none",
    "training.early_stopping_patience": 0,
    # Acts on nothing here; it must reach the job, through several shells, as it is.
    "data.corpus.files.posts": "my posts, all/of them.csv",
}


def test_a_study_with_faults_ends_as_a_quiet_local_one(cluster: SlurmCluster, finished: Study, tmp_path: Path) -> None:
    study = make_study(tmp_path, overlay(TINY, {"search.stages.0.shards": 2, "search.stages.1.shards": 2}))
    run = Run(study, on_slurm(study))
    faults = Faults(cluster, run, seed=7)
    try:
        code = faults.until_the_end(seconds=1500)
    finally:
        run.end()
    assert faults._waiting == [], "the study ended before everything had happened"
    assert code == 0, run.text()[-4000:]
    assert differing(finished, study) == []
    assert 0 < faults.minutes[0] < faults.minutes[1], "a job that ran out of time asks for more"
    assert set(re.findall(r"/slurm_logs/(\w+)/", run.text())) == {
        "rule_run_trials",
        "rule_retrain_config",
        "rule_retrain_chosen",
        "group_evaluation_evaluate_export_model",
    }, "only what trains or predicts is a job of the cluster"


def test_a_preempted_trial_goes_on_from_its_last_epoch(cluster: SlurmCluster, finished: Study, tmp_path: Path) -> None:
    options = [f"--override={key}={json.dumps(value)}" for key, value in ONE_LONG_TRIAL.items()]
    here, there = (_copy(finished, tmp_path / name) for name in ("here", "there"))
    here.run("run", SHARD, "--cores", "1", *options, program="evidence-hpo")
    run = Run(there, on_slurm(there, SHARD, *options))
    log = there.folder / LOG
    try:
        wait_for_text(log, "epoch 5 of 250 finished", seconds=300)
        [job] = cluster.jobs("RUNNING")
        reading = ThreadPoolExecutor(1).submit(wait_for_text, log, "interrupted at stage1 trial 0: 0 of 1", 60)
        cluster.requeue(job)
        stopped = reading.result()
        assert run.process.wait(timeout=300) == 0, run.text()[-4000:]
    finally:
        run.end()
    assert "SIGTERM: stops after this epoch" in stopped
    done = max(map(int, re.findall(r"epoch (\d+) of 250 finished", stopped)))
    again = list(map(int, re.findall(r"epoch (\d+): loss", log.read_text(encoding="utf-8"))))
    assert again == list(range(done + 1, 251)), "no epoch was lost, and none was done twice"
    assert _record(there) == _record(here)


def _copy(finished: Study, folder: Path) -> Study:
    shutil.copytree(finished.folder, folder)
    shutil.rmtree(folder / "results" / "work")
    return Study(finished.repository, folder, finished.settings)


def _record(study: Study) -> dict[str, Any]:
    [line] = (study.folder / SHARD).read_text(encoding="utf-8").splitlines()
    record: dict[str, Any] = json.loads(line)
    assert record.pop("duration_seconds") > 0
    return record
