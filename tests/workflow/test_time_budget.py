"""A run whose time is used up stops cleanly, and the same command goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflow.study import TINY, make_study

from evidence_hpo.study_log import read_events

pytestmark = pytest.mark.workflow

SHARD = "results/criteria/stage1/round_0/shard_0.jsonl"
COMMAND = "exec python -m evidence_hpo.steps.run_trials"


def test_the_same_command_goes_on_after_the_budget(tmp_path: Path) -> None:
    study = make_study(tmp_path, TINY)
    arguments = ("run", SHARD, "--cores", "2", "--retries", "3")
    study.run(*arguments, "--omit-from", "run_trials", program="evidence-hpo")
    log = study.folder / "results/logs/study.jsonl"
    _, before = read_events(log)
    rule = study.repository / "rules/search.smk"
    content = rule.read_text(encoding="utf-8")
    assert COMMAND in content
    rule.write_text(content.replace(COMMAND, f"sleep 20; {COMMAND}"), encoding="utf-8")
    stopped = study.run(*arguments, "--time-budget", "20s", program="evidence-hpo", check=False)
    assert stopped.returncode == 1
    assert "time budget of 20 s is used up; the same command goes on" in stopped.stderr
    assert "the time budget is used up: no job starts any more" in stopped.stderr
    assert "the time budget is used up: stops here" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (study.folder / SHARD).exists()
    events, _ = read_events(log, before)
    started = [event["rule"] for event in events if event["event"] == "job_started"]
    assert started.count("run_trials") == 1, "a job that the deadline stopped is not tried again"
    assert (events[-1]["event"], events[-1]["exit_code"], events[-1]["interrupted"]) == ("run_finished", 1, True)
    rule.write_text(content, encoding="utf-8")
    study.run(*arguments, "--time-budget", "1h", program="evidence-hpo")
    lines = (study.folder / SHARD).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
