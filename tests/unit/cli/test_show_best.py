"""`show-best`: the best trials of finished stages and of stages under way."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from finished_study import command, made_study

from evidence_hpo.cli.results import found_stages, read_stage
from evidence_hpo.cli.show_best import ranked


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    made_study(root)
    return root


def test_json_holds_the_best_trials_first(study: Path) -> None:
    shown = command("show-best", "--stage", "stage1", "--top", "4", "--format", "json", folder=study)
    assert shown.returncode == 0, shown.stderr
    (stage,) = json.loads(shown.stdout)
    rows = [
        json.loads(line)
        for line in (study / "results/criteria/stage1/trials.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    best = sorted((row for row in rows if row["state"] == "complete"), key=lambda row: -row["value"])[:4]
    assert [(one["number"], one["score"]) for one in stage["trials"]] == [(row["number"], row["value"]) for row in best]
    assert stage["trials"][0]["parameters"] == best[0]["sampled"]
    assert (stage["finished"], stage["proposed"]) == (20, 20)
    assert sum(stage["states"].values()) == 20


def test_the_default_is_the_stage_with_the_newest_trials(study: Path) -> None:
    shown = command("show-best", "--format", "json", folder=study)
    assert [one["stage"] for one in json.loads(shown.stdout)] == ["stage2"]
    assert found_stages(study) == {"criteria": ["stage1", "stage2"]}


def test_the_table_shows_score_state_epochs_and_importances(study: Path) -> None:
    shown = command("show-best", "--architecture", "criteria", "--stage", "stage1", folder=study)
    assert shown.returncode == 0, shown.stderr
    assert "criteria, stage1: 20 of 20 proposed trials are finished" in shown.stdout
    for word in ("macro_f1", "complete", "4 of 4", "learning_rate"):
        assert word in shown.stdout
    assert "importances" in shown.stdout or "share of the variance" in shown.stdout


def test_csv_has_a_column_for_each_parameter(study: Path) -> None:
    shown = command("show-best", "--stage", "stage1", "--top", "20", "--format", "csv", folder=study)
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert len(rows) == 20
    assert {"architecture", "stage", "number", "score", "state", "epochs", "learning_rate", "dropout"} <= set(rows[0])
    assert any(row["focal_gamma"] == "" for row in rows), "a parameter that did not act is empty"


def test_a_stage_under_way_shows_the_shards_that_are_there(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "results", tmp_path / "results")
    stage1 = tmp_path / "results/criteria/stage1"
    for name in ("trials.jsonl", "summary.json", "round_1/shard_0.jsonl"):
        (stage1 / name).unlink()
    shown = command("show-best", "--stage", "stage1", "--format", "json", folder=tmp_path)
    (stage,) = json.loads(shown.stdout)
    assert (stage["finished"], stage["proposed"]) == (15, 20)


def test_shards_of_another_configuration_are_passed_over(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "results", tmp_path / "results")
    folder = tmp_path / "results/criteria/stage1/round_0"
    row = json.loads((folder / "shard_0.jsonl").read_text(encoding="utf-8").splitlines()[0])
    row["parameters"] |= {"learning_rate": 0.5}
    row["value"], row["state"] = 0.999, "complete"
    (folder / "shard_9.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    values = [trial["value"] for trial in read_stage(tmp_path, "criteria", "stage1").trials]
    assert len(values) == 20
    assert 0.999 not in values


def test_pruned_trials_follow_complete_ones_by_how_far_they_came() -> None:
    def trial(number: int, state: str, value: float | None, epoch: float) -> dict[str, object]:
        return {"number": number, "state": state, "value": value, "evaluations": [{"epoch": epoch}]}

    rows = [
        trial(0, "failed", None, 1),
        trial(1, "pruned", 0.9, 1),
        trial(2, "pruned", 0.3, 2),
        trial(3, "complete", 0.5, 1),
        trial(4, "complete", 0.6, 4),
        trial(5, "complete", 0.6, 4),
    ]
    assert [one["number"] for one in ranked(rows)] == [4, 5, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--architecture", "joint"], 3, "--architecture joint: has no trials; there are criteria"),
        (["--stage", "stage9"], 3, "--stage stage9: has no trials; there are stage1, stage2"),
        (["--top", "0"], 2, "--top"),
        (["--format", "xml"], 2, "xml"),
    ],
)
def test_a_wrong_option_is_refused(study: Path, arguments: list[str], code: int, message: str) -> None:
    refused = command("show-best", *arguments, folder=study)
    assert refused.returncode == code
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_folder_without_a_study_and_a_damaged_shard_are_one_line(study: Path, tmp_path: Path) -> None:
    missing = command("show-best", folder=tmp_path)
    assert missing.returncode == 3
    assert missing.stderr.count("\n") == 1
    assert "no study there" in missing.stderr
    shutil.copytree(study / "results", tmp_path / "results")
    (tmp_path / "results/criteria/stage2/round_0/shard_0.jsonl").write_text("{broken\n", encoding="utf-8")
    damaged = command("show-best", folder=tmp_path)
    assert damaged.returncode == 3
    assert damaged.stderr.endswith("shard_0.jsonl: line 1 is not valid JSON\n")


def test_torch_is_not_loaded(study: Path) -> None:
    program = (
        "import sys; from evidence_hpo.cli.main import app; app(['show-best'], standalone_mode=False);"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", program], cwd=study, capture_output=True, text=True, check=True)
    assert shown.stderr == "False\n"
