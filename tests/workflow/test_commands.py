"""The commands on real studies: what they do, what they leave, and how they end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflow.study import TINY, Study, make_study, overlay

from evidence_hpo.files import digest_file, read_json
from evidence_hpo.schemas import read_artefact
from evidence_hpo.study_log import read_events

pytestmark = pytest.mark.workflow

EVALUATION = "results/criteria/evaluation/evaluation.json"


def call(study: Study, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the configuration: what is recorded has to do."""
    program = [sys.executable, "-m", "evidence_hpo.cli.main", *arguments]
    return subprocess.run(program, cwd=study.folder, env=study.environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a copy of the finished study, continued by `run`: nothing to do, but its settings are recorded."""
    folder = tmp_path_factory.mktemp("copied") / "study"
    subprocess.run(["cp", "--archive", str(finished.folder), str(folder)], check=True)  # keeps times and hard links
    study = Study(finished.repository, folder, TINY)
    done = study.run("run", "--cores", "1", program="evidence-hpo")
    assert "Nothing to be done" in done.stderr + done.stdout
    return study


def test_the_study_is_listed_as_completed(copied: Study) -> None:
    (row,) = json.loads(call(copied, "list-studies", "--format", "json").stdout)
    summary = read_json(copied.folder / "results/study_summary.json")
    assert (row["study_id"], row["name"], row["trials"]) == (summary["study_id"], "tiny", 10)
    assert row["status"] == "completed"


def test_an_evaluation_that_is_gone_is_made_again_from_what_is_recorded(copied: Study) -> None:
    before = (copied.folder / EVALUATION).read_bytes()
    shutil.rmtree(copied.folder / "results/criteria/evaluation")
    (copied.folder / "results/evaluation_report.json").unlink()
    done = call(copied, "evaluate-study", "--output-path", "copy.json", "--json")
    assert done.returncode == 0, done.stderr
    assert (copied.folder / EVALUATION).read_bytes() == before
    report = copied.folder / "results/evaluation_report.json"
    assert (copied.folder / "copy.json").read_bytes() == report.read_bytes()
    assert json.loads(done.stdout) == read_artefact(report, "evaluation_report")
    rules = {event["rule"] for event in read_events(copied.folder / "results/logs/study.jsonl")[0] if "rule" in event}
    assert rules == {"evaluate", "report_evaluation"}


def test_the_summary_has_the_same_bytes_each_time(copied: Study) -> None:
    for name in ("one.json", "other.json"):
        done = call(copied, "summarize-study", "--study-name", "tiny", "--output-path", name)
        assert done.returncode == 0, done.stderr
    assert (copied.folder / "one.json").read_bytes() == (copied.folder / "other.json").read_bytes()
    content = read_artefact(copied.folder / "one.json", "study_output")
    report = read_json(copied.folder / content["best_trial_report_path"])
    assert report["architecture"] == content["architecture"] == "criteria"


def test_resuming_a_finished_study_says_what_came_of_it(copied: Study) -> None:
    copied.run("run", "--cores", "1", program="evidence-hpo")  # reports that an earlier test made older
    done = call(copied, "tune", "--resume-study", "tiny", "--cores", "1", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["study"], verdict["status"]) == ("tiny", "completed")
    assert [row["trials"] for row in verdict["stages"]] == ["6/6", "4/4"]


def test_after_any_cleanup_nothing_runs_again(copied: Study) -> None:
    copied.run("run", "--cores", "1", program="evidence-hpo")
    for arguments in (["--orphaned-only"], [], ["--aggressive"]):
        done = call(copied, "cleanup", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        assert copied.planned() == {}, arguments
    assert json.loads(done.stdout)["removed"], "weights of epochs that were not the best"
    summary = read_artefact(copied.folder / "results/retrain_summary.json", "retrain_summary")
    one = summary["architectures"]["criteria"]
    seeds = [seed for each in one["configurations"] for seed in each["seeds"]] + one["final"]["seeds"]
    for seed in seeds:
        path = copied.folder / seed["checkpoint"]["path"] / "model.safetensors"
        assert digest_file(path) == seed["checkpoint"]["sha256"]
    listed = json.loads(call(copied, "list-checkpoints", "--format", "json").stdout)
    assert listed
    assert all(row["retained"] and row["is_best"] for row in listed)


def test_tune_makes_one_stage_and_logs_each_trial_once(tmp_path: Path) -> None:
    study = make_study(tmp_path, overlay(TINY, {"search.stages.0.first_round": 2, "search.stages.0.round_size": 2}))
    options = ("--stage", "stage1", "--trials", "2", "--jobs", "2", "--study-name", "other-name", "--json")
    done = study.run("tune", "--preset", "smoke", *options, program="evidence-hpo")
    verdict = json.loads(done.stdout)
    assert verdict["study"] == "other_name"
    assert [(row["stage"], row["trials"]) for row in verdict["stages"]] == [("stage1", "2/2")]
    assert verdict["status"] == "in_progress", "a stage is not the study"
    assert not (study.folder / "results/retrain_summary.json").exists()
    events, _ = read_events(study.folder / "results/logs/study.jsonl")
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
    assert sorted(event["label"] for event in events if event["event"] == "trial_finished") == [
        "stage1 trial 0",
        "stage1 trial 1",
    ]
    started = [event["job"] for event in events if event["event"] == "job_started"]
    assert sorted(started) == sorted(event["job"] for event in events if event["event"] == "job_finished")
    assert "message" not in (study.folder / "results/logs/study.jsonl").read_text(encoding="utf-8")


def test_a_failed_job_gives_its_errors_exit_code(tmp_path: Path) -> None:
    files = {"posts": "p.csv", "annotations": "a.csv"}
    study = make_study(tmp_path, overlay(TINY, {"data.corpus.source": "files", "data.corpus.files": files}))
    (study.folder / "p.csv").write_text("post_id,text\np1,secret words\np1,other words\n", encoding="utf-8")
    (study.folder / "a.csv").write_text("post_id,sentence_id,sentence_text,DSM5_symptom,status\n", encoding="utf-8")
    failed = study.run("tune", "--preset", "smoke", "--stop-on-error", program="evidence-hpo", check=False)
    assert failed.returncode == 3
    events, _ = read_events(study.folder / "results/logs/study.jsonl")
    (event,) = [event for event in events if event["event"] == "job_failed"]
    assert (event["rule"], event["error"]) == ("prepare_corpus", "DataError")
    assert events[-1]["exit_code"] == 3
    assert "secret words" not in (study.folder / "results/logs/study.jsonl").read_text(encoding="utf-8")
    (row,) = json.loads(call(study, "list-studies", "--format", "json").stdout)
    assert row["status"] == "failed"
