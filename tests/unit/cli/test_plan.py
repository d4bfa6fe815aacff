"""`plan`: jobs and reasons from Snakemake's dry run, hours and disk with what they rest on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finished_study import command, made_study

from evidence_hpo.cli.disk import disk_parts
from evidence_hpo.cli.dry_run import PlannedJob, grouped, read_dry_run
from evidence_hpo.cli.estimates import Estimator, stage_plans
from evidence_hpo.cli.results import read_stage
from evidence_hpo.config.backbones import HubBackbone, ScratchBackbone
from evidence_hpo.config.configuration import Configuration, default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.graph import StudyGraph
from evidence_hpo.workload import weights_of

OUTPUT = """\
Building DAG of jobs...
[date]
Job 3: criteria, stage1: running shard 0 of round 1
Reason: Missing output files: results/x.jsonl; Input files updated by another job: results/small
Shell command: exec python -m evidence_hpo.steps.run_trials --log results/logs/criteria/stage1/round_1/shard_0.log
[date]
Job 4: criteria: selecting
Reason: Params have changed since last execution: before: 1 now: 2; Input files updated by another job: y
Shell command: exec env X=0 python -m evidence_hpo.steps.select --log results/logs/criteria/retrain/select_configs.log
[date]
Job 5: Summarising
Reason: Input files updated by another job: results/retrain_summary.json
Shell command: exec python -m evidence_hpo.steps.summarize_study --trials t --log results/logs/summarize_study.log
rule all:
    reason: Input files updated by another job: results/retrain_summary.json
Shell command: None
"""


def configured(**changes: Any) -> Configuration:
    return load_configuration(merge(default_configuration().model_dump(mode="json"), changes))


def test_a_dry_run_is_read_job_by_job() -> None:
    jobs = read_dry_run(OUTPUT)
    assert jobs[0] == PlannedJob("run_trials", "not made yet", "criteria", "stage1", 1)
    assert jobs[1].reason == "settings or code changed", "the reason that says most"
    assert jobs[1].architecture == "criteria"
    assert jobs[2] == PlannedJob("summarize_study", "follows from another job")
    assert len(jobs) == 3
    assert grouped([*jobs, jobs[0]])["run_trials"] == {"not made yet": 2}


def test_trials_to_run_follow_from_the_shards_that_would_run() -> None:
    study = StudyGraph(default_configuration())
    jobs = [
        PlannedJob("run_trials", "", "criteria", "stage1", 0),
        PlannedJob("run_trials", "", "evidence", "stage2", 1),
    ]
    plans = {(one.architecture, one.stage): one for one in stage_plans(study, [*jobs, jobs[1]])}
    assert plans["criteria", "stage1"].to_run == 2  # one of the two shards of three trials
    assert plans["evidence", "stage2"].to_run == 2
    assert plans["criteria", "stage2"].to_run == 0


def hours(configuration: Configuration, root: Path, records: dict[tuple[str, str], Any]) -> Any:
    study = StudyGraph(configuration)
    jobs = [PlannedJob("run_trials", "", "criteria", "stage2", number) for number in (0, 0, 1, 1)]
    plan = next(one for one in stage_plans(study, jobs) if one.stage == "stage2")
    return Estimator(configuration, root, records).stage(plan, study.searched_space("criteria", "stage2"))


def trial(seconds: float, epochs: float = 2.0, length: int = 128, of_epochs: int = 2) -> dict[str, Any]:
    parameters = {"backbone": "small", "max_length": length, "frozen_layers": 0}
    return {
        "duration_seconds": seconds,
        "evaluations": [{"epoch": epochs}],
        "epochs": of_epochs,
        "data_fraction": 0.5,
        "parameters": parameters,
    }


def test_measured_trials_are_scaled_by_epochs_data_and_length(tmp_path: Path) -> None:
    configuration = default_configuration()
    found = hours(configuration, tmp_path, {("criteria", "stage1"): [trial(10.0), trial(30.0)]})
    # 20 s for 2 epochs on half of the data are 20 s for one epoch on all: 4 trials of 9 epochs.
    assert found.work * 3600 == pytest.approx(4 * 9 * 20.0)
    assert found.at_once * 3600 == pytest.approx(2 * 9 * 20.0), "two rounds, a worker for each trial"
    assert found.basis.startswith("measured: 2 trials, 10.0 s an epoch")
    assert "no pruning is counted" in found.basis
    longer = hours(configuration, tmp_path, {("criteria", "stage1"): [trial(20.0, length=64)]})
    assert longer.work == pytest.approx(2 * found.work), "inputs of the study are twice as long"


def test_pruning_counts_where_the_stage_has_enough_trials(tmp_path: Path) -> None:
    half = [trial(10.0, epochs=4.5, of_epochs=9) for _ in range(10)]
    found = hours(default_configuration(), tmp_path, {("criteria", "stage2"): half})
    whole = hours(default_configuration(), tmp_path, {("criteria", "stage2"): half[:9]})
    assert found.work == pytest.approx(whole.work / 2)
    assert "50% of the epochs, as in the stage's 10 trials" in found.basis


def test_without_trials_the_model_says_what_it_assumes(tmp_path: Path) -> None:
    small = hours(configured(training={"runtime": {"device": "cpu"}}), tmp_path, {})
    assert "model, no trial yet" in small.basis
    assert "assumed from 1,500 posts" in small.basis
    assert "(cpu, assumed)" in small.basis
    on_gpu = hours(configured(training={"runtime": {"device": "cuda"}}), tmp_path, {})
    assert on_gpu.work < small.work / 100
    wider = {"small": {"source": "scratch", "hidden": 256}}
    wide = hours(configured(training={"runtime": {"device": "cpu"}}, backbones=wider), tmp_path, {})
    assert wide.work == pytest.approx(4 * small.work)


def test_disk_grows_with_what_is_kept_and_what_runs_at_once(tmp_path: Path) -> None:
    def sizes(configuration: Configuration, concurrent: int = 1) -> dict[str, float]:
        manifest = {"small": {"parameters": 1_000_000}}
        return {part.what: part.size for part in disk_parts(configuration, tmp_path, manifest, concurrent)}

    one = sizes(configured(study={"architectures": ["criteria"]}))
    assert one["resume points"] == 12e6 * 2
    assert one["retrained models"] == 4e6 * (2 * 1 + 2)
    assert sizes(configured(study={"architectures": ["criteria"]}), 3)["resume points"] == 3 * one["resume points"]
    both = sizes(configured(study={"architectures": ["joint"]}))
    assert both["exported models"] == 2 * one["exported models"], "joint has two encoders"
    assert weights_of(HubBackbone(model="bert-large"), {})[0] > weights_of(HubBackbone(model="bert-base"), {})[0]
    assert weights_of(ScratchBackbone(), {"parameters": 7}) == (7, "manifest")


def test_the_plan_of_a_new_study_starts_nothing(tmp_path: Path) -> None:
    overlay = {"study": {"architectures": ["criteria"]}}
    (tmp_path / "study.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    done = command("plan", "--configfile", "study.yaml", "--cores", "2", "--format", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["rules"]["run_trials"] == {"not made yet": 8}
    assert [stage["trials_to_run"] for stage in content["stages"]] == [6, 4]
    assert content["stages"][0]["rounds"] == [3, 3]
    assert content["retraining"][0]["runs"] == 4
    assert content["disk"]["free_bytes"] > 0
    assert not (tmp_path / "results").exists(), "nothing was started"


def test_records_of_this_folder_are_what_hours_rest_on(tmp_path: Path) -> None:
    made_study(tmp_path)
    rows = read_stage(tmp_path, "criteria", "stage1").trials
    found = hours(default_configuration(), tmp_path, {("criteria", "stage1"): rows})
    assert "measured: " in found.basis


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--cores", "many"], "--cores many: give a number of at least 1, or all"),
        (["--cores", "0"], "--cores 0"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    refused = command("plan", *arguments, folder=tmp_path)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
