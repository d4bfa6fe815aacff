"""The log of a study: what jobs do and what trials come to, once each, and never what a message says."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from evidence_hpo.study_log import StudyLog, append_event, read_events
from snakemake_logger_plugin_evidence_hpo import LogHandler


def step_event(log: Path, event: str, **fields: Any) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": fields.pop("time", "t"), "event": event, "message": "SECRET", **fields}) + "\n")


def trial(log: Path, number: int, **fields: Any) -> None:
    label = f"stage1 trial {number}"
    step_event(log, "trial_finished", key=str(number), label=label, state="complete", value=0.5, **fields)


@pytest.fixture
def log(tmp_path: Path) -> StudyLog:
    return StudyLog(tmp_path / "study.jsonl", poll_seconds=3600.0)


def names(log: StudyLog) -> list[str]:
    return [event["event"] for event in read_events(log.path)[0]]


def test_a_job_is_followed_from_start_to_end(log: StudyLog, tmp_path: Path) -> None:
    own = tmp_path / "shard_0.log"
    log.job_started(3, "run_trials", {"stage": "stage1", "architecture": "criteria"}, own)
    trial(own, 0)
    trial(own, 1)
    step_event(own, "finished", seconds=1)
    log.job_finished(3)
    log.progress(1, 5)
    log.close()
    events, _ = read_events(log.path)
    assert names(log) == ["job_started", "trial_finished", "trial_finished", "job_finished", "progress"]
    assert (events[0]["architecture"], events[0]["rule"], events[0]["log"]) == ("criteria", "run_trials", str(own))
    assert (events[1]["label"], events[1]["value"], events[1]["stage"]) == ("stage1 trial 0", 0.5, "stage1")
    assert events[3]["seconds"] >= 0
    assert "SECRET" not in log.path.read_text(encoding="utf-8")


def test_a_failed_job_names_the_class_of_its_error(log: StudyLog, tmp_path: Path) -> None:
    own = tmp_path / "job.log"
    log.job_started(1, "evaluate", {}, own)
    step_event(own, "failed", error="StorageError")
    log.job_failed(1)
    log.job_started(2, "evaluate", {}, tmp_path / "killed.log")
    log.job_failed(2)
    log.close()
    failed = [event for event in read_events(log.path)[0] if event["event"] == "job_failed"]
    assert [event["error"] for event in failed] == ["StorageError", None]


def test_what_an_earlier_run_of_the_job_left_is_not_repeated(log: StudyLog, tmp_path: Path) -> None:
    own = tmp_path / "shard_0.log"
    trial(own, 0, time="before")
    log.job_started(1, "run_trials", {}, own)
    log.job_finished(1)  # it found everything done and wrote nothing yet
    log.job_started(2, "run_trials", {}, own)
    own.write_text("", encoding="utf-8")
    trial(own, 7, time="after")
    trial(own, 8, time="after")
    log.job_finished(2)
    log.close()
    assert [event["key"] for event in read_events(log.path)[0] if event["event"] == "trial_finished"] == ["7", "8"]


def followed(log: StudyLog, number: int = 1) -> None:
    """Let the log look at its jobs once, as it does each second."""
    with log._lock:
        log._copy(number, log._jobs[number])


@pytest.mark.parametrize("seen_empty", [True, False])
def test_a_job_that_its_cluster_starts_again_is_followed_in_its_new_log(
    log: StudyLog, tmp_path: Path, seen_empty: bool
) -> None:
    own = tmp_path / "shard_0.log"
    log.job_started(1, "run_trials", {}, own)
    trial(own, 0, time="first")
    trial(own, 1, time="first")
    followed(log)
    own.write_text("", encoding="utf-8")
    if seen_empty:
        followed(log)
    trial(own, 2, time="second")
    followed(log)
    step_event(own, "failed", error="StorageError")
    log.job_failed(1)
    log.close()
    events, _ = read_events(log.path)
    assert [event["key"] for event in events if event["event"] == "trial_finished"] == ["0", "1", "2"]
    assert events[-1]["error"] == "StorageError"


def test_the_error_of_a_run_that_its_cluster_started_again_is_not_the_jobs(log: StudyLog, tmp_path: Path) -> None:
    own = tmp_path / "shard_0.log"
    log.job_started(1, "run_trials", {}, own)
    step_event(own, "failed", error="StorageError", time="first")
    followed(log)
    own.write_text("", encoding="utf-8")
    trial(own, 0, time="second")
    log.job_failed(1)
    log.close()
    assert read_events(log.path)[0][-1]["error"] is None


def test_trials_show_while_their_job_runs(tmp_path: Path) -> None:
    log = StudyLog(tmp_path / "study.jsonl", poll_seconds=0.02)
    own = tmp_path / "shard_0.log"
    log.job_started(1, "run_trials", {}, own)
    trial(own, 0)
    seen = threading.Event()
    for _ in range(500):
        if "trial_finished" in names(log):
            seen.set()
            break
        threading.Event().wait(0.02)
    assert seen.is_set()
    trial(own, 1)
    log.job_finished(1)
    log.close()
    assert names(log).count("trial_finished") == 2


def test_half_a_line_waits_for_its_end_and_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"event": "one"}\nnot json\n[1]\n{"event": "tw')
    events, offset = read_events(path)
    assert [event["event"] for event in events] == ["one"]
    with path.open("ab") as file:
        file.write(b'o"}\n')
    assert [event["event"] for event in read_events(path, offset)[0]] == ["two"]
    assert read_events(tmp_path / "nowhere") == ([], 0)


def test_two_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def write(name: str) -> None:
        for number in range(200):
            append_event(path, name, number=number, filler="x" * 500)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, _ = read_events(path)
    assert sorted((event["event"], event["number"]) for event in events) == [
        (name, number) for name in "abc" for number in range(200)
    ]


def test_a_full_disk_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evidence_hpo.study_log.os.write", full)
    append_event(tmp_path / "log", "one")
    assert read_events(tmp_path / "log")[0] == []


def record(event: LogEvent | None, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, None, None, None)
    made.__dict__.update(fields, **({"event": event} if event else {}))
    return made


def test_the_plugin_passes_snakemakes_events_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    handler = LogHandler(SimpleNamespace(dryrun=False), None)
    job = {"jobid": 4, "rule_name": "collect_trials", "wildcards": {"stage": "stage1"}}
    handler.emit(record(LogEvent.JOB_INFO, log=["results/logs/a.log"], **job))
    handler.emit(record(LogEvent.JOB_INFO, log=[], **job))
    handler.emit(record(None))
    handler.emit(record(LogEvent.PROGRESS, done=1, total=2))
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=4))
    handler.emit(record(LogEvent.JOB_ERROR, jobid=9))
    handler.close()
    events, _ = read_events(tmp_path / "results/logs/study.jsonl")
    assert [event["event"] for event in events] == ["job_started", "progress", "job_finished"]


def test_a_fault_of_the_plugin_does_not_reach_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    handler = LogHandler(SimpleNamespace(dryrun=False), None)
    handler.emit(record(LogEvent.PROGRESS))
    handler.close()
    assert "AttributeError" in capsys.readouterr().err


def test_a_dry_run_writes_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    handler = LogHandler(SimpleNamespace(dryrun=True), None)
    handler.emit(record(LogEvent.PROGRESS, done=1, total=2))
    handler.close()
    assert list(tmp_path.iterdir()) == []
