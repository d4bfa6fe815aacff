"""`list-studies`: which studies there are, how far each is, in three formats."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from finished_study import command, made_study
from run_files import ID, complete_study

from evidence_hpo.cli.studies import find_studies, read_study
from evidence_hpo.files import read_json_lines
from evidence_hpo.study_log import append_event

LOG = "results/logs/study.jsonl"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    made_study(root)
    return root


@pytest.fixture
def experiments(made: Path, tmp_path: Path) -> Path:
    """Return a folder with a completed study, one that was interrupted, one that failed, and no study."""
    for name in ("done", "deeper/interrupted", "failed"):
        shutil.copytree(made / "results", tmp_path / name / "results")
    complete_study(tmp_path / "done")
    append_event(tmp_path / "done" / LOG, "run_started")
    append_event(tmp_path / "done" / LOG, "run_finished", exit_code=0, interrupted=False)
    append_event(tmp_path / "deeper/interrupted" / LOG, "run_started")
    append_event(tmp_path / "failed" / LOG, "run_finished", exit_code=3, interrupted=False)
    (tmp_path / "notes").mkdir()
    return tmp_path


def listed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    shown = command("list-studies", "--format", "json", *arguments, folder=folder)
    assert shown.returncode == 0, shown.stderr
    return list(json.loads(shown.stdout))


def test_each_study_has_its_status(experiments: Path) -> None:
    rows = {row["folder"]: row for row in listed(experiments)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "done": "completed",
        "deeper/interrupted": "in_progress",
        "failed": "failed",
    }
    assert {row["name"] for row in rows.values()} == {"test"}
    assert {row["trials"] for row in rows.values()} == {26}
    assert rows["done"]["study_id"] == ID
    assert rows["failed"]["study_id"] is None
    best = read_json_lines(experiments / "done/results/criteria/stage2/trials.jsonl")
    expected = max(row["value"] for row in best if row["state"] == "complete")
    assert rows["done"]["best_metric"] == {"criteria": expected}
    assert rows["done"]["created"] == time.strftime("%Y-%m-%d", time.gmtime())


@pytest.mark.parametrize("status", ["completed", "in_progress", "failed"])
def test_a_filter_leaves_the_others_out(experiments: Path, status: str) -> None:
    assert [row["status"] for row in listed(experiments, "--filter-status", status)] == [status]


def test_table_and_csv_have_the_columns_of_the_contract(experiments: Path) -> None:
    columns = ["Study ID", "Name", "Trials", "Best Metric", "Status", "Created"]
    table = command("list-studies", "--experiments-dir", str(experiments), folder=experiments.parent)
    assert table.stdout.splitlines()[0].split("  ")[0] == "Study ID"
    assert all(column in table.stdout.splitlines()[0] for column in columns)
    assert str(experiments / "done") in table.stdout
    text = command("list-studies", "--format", "csv", folder=experiments).stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:6] == columns
    assert len(rows) == 4


def test_a_study_that_runs_is_in_progress_whatever_it_did_before(experiments: Path) -> None:
    claim = experiments / "failed/results/work/run.lock"
    claim.parent.mkdir(parents=True)
    with claim.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert read_study(experiments / "failed").status == "in_progress"
    assert read_study(experiments / "failed").status == "failed"


def test_a_stopped_run_is_not_a_failed_one(experiments: Path) -> None:
    append_event(experiments / "failed" / LOG, "run_finished", exit_code=1, interrupted=True)
    assert read_study(experiments / "failed").status == "in_progress"


def test_a_summary_older_than_a_record_is_not_the_end(experiments: Path) -> None:
    shard = experiments / "done/results/criteria/stage2/round_1/shard_0.jsonl"
    late = time.time() + 60
    os.utime(shard, (late, late))
    assert read_study(experiments / "done").status == "in_progress"


def test_a_damaged_study_is_listed_with_its_problem(experiments: Path) -> None:
    (experiments / "done/results/criteria/stage2/round_0/shard_0.jsonl").write_text("{broken\n", encoding="utf-8")
    row = next(row for row in listed(experiments) if row["folder"] == "done")
    assert row["status"] == "failed"
    assert "shard_0.jsonl: line 1 is not valid JSON" in row["problem"]


def test_no_study_is_looked_for_inside_a_study_or_four_levels_down(experiments: Path) -> None:
    shutil.copytree(experiments / "done/results", experiments / "done/results/copy/results")
    shutil.copytree(experiments / "done/results", experiments / "a/b/c/d/results", dirs_exist_ok=True)
    found = [path.relative_to(experiments).as_posix() for path in find_studies(experiments)]
    assert found == ["deeper/interrupted", "done", "failed"]


def test_a_missing_folder_is_exit_code_1(tmp_path: Path) -> None:
    refused = command("list-studies", "--experiments-dir", "nowhere", folder=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "--experiments-dir nowhere: no such folder\n"
    assert listed(tmp_path) == []
