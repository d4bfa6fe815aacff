"""`list-checkpoints`: what is on the disk of each run, and what the retention policy keeps."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from finished_study import command
from run_files import BYTES, interrupted_run, key_of, retrained_run

from evidence_hpo.config.configuration import default_configuration

COLUMNS = ["Checkpoint", "Epoch", "Step", "Val F1", "Is Best", "Is Latest", "Retained", "Size (MB)"]


def rows_of(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    shown = command("list-checkpoints", "--format", "json", *arguments, folder=folder)
    assert shown.returncode == 0, shown.stderr
    return list(json.loads(shown.stdout))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    retrained_run(tmp_path, key_of(1), "final/seed_0", [0.3, 0.9, 0.5])
    interrupted_run(tmp_path, key_of(2), [0.5, 0.4, 0.3])
    return tmp_path


def test_resume_points_say_which_is_best_latest_and_retained(study: Path) -> None:
    rows = rows_of(study, "--trial-dir", f"results/work/trials/00/{key_of(2)}")
    shown = [(row["checkpoint"], row["epoch"], row["step"], row["score"]) for row in rows]
    assert shown == [(f"resume/epoch_00{n}.json", n, 10 * n, score) for n, score in ((1, 0.5), (2, 0.4), (3, 0.3))]
    assert [row["is_best"] for row in rows] == [True, False, False]
    assert [row["is_latest"] for row in rows] == [False, False, True]
    assert [row["retained"] for row in rows] == [False, True, True], "keep_last_n is 2 where nothing is recorded"
    assert rows[0]["size_mb"] == pytest.approx(3 * BYTES / 1e6, abs=0.01)


def test_kept_weights_of_a_retrained_model(study: Path) -> None:
    rows = rows_of(study, "--trial-dir", "results/criteria/retrain/final/seed_0")
    assert [(row["checkpoint"], row["score"]) for row in rows] == [
        ("model/checkpoints/epoch_001.safetensors", 0.3),
        ("model/checkpoints/epoch_002.safetensors", 0.9),
        ("model/model.safetensors", 0.9),
        ("model/checkpoints/epoch_003.safetensors", 0.5),
    ]
    assert [row["is_best"] for row in rows] == [False, True, True, False]
    assert [row["is_latest"] for row in rows] == [False, False, False, True]
    assert [row["retained"] for row in rows] == [False, True, True, True]


def test_the_policy_is_that_of_the_recorded_configuration(study: Path) -> None:
    raw = default_configuration().model_dump(mode="json")
    raw["training"]["checkpoints"]["keep_last_n"] = 1
    (study / "results/configuration.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    rows = rows_of(study, "--trial-dir", f"results/work/trials/00/{key_of(2)}")
    assert [row["retained"] for row in rows] == [False, False, True]


def test_all_runs_of_a_study_are_listed_by_their_paths(study: Path) -> None:
    rows = rows_of(study, "--study-dir", str(study))
    assert len(rows) == 7
    assert all(row["checkpoint"].startswith("results/") for row in rows)
    assert rows_of(study) == rows, "the working directory is the default"


def test_resume_points_of_a_run_outside_the_search_are_listed_and_no_cleanup_takes_them(study: Path) -> None:
    (study / f"results/work/trials/00/{key_of(2)}/resume").rename(study / "results/work/single")
    (study / "results/work/runs").mkdir()
    run = (study / "results/work/single").rename(study / "results/work/runs/single")
    before = sorted(path.name for path in run.iterdir())
    assert [row["epoch"] for row in rows_of(study, "--trial-dir", "results/work/runs/single")] == [1, 2, 3]
    assert len(rows_of(study)) == 7
    assert command("cleanup", "--aggressive", folder=study).returncode == 0
    assert sorted(path.name for path in run.iterdir()) == before


def test_metrics_are_columns_on_demand(study: Path) -> None:
    plain = command("list-checkpoints", "--format", "csv", folder=study).stdout
    assert next(csv.reader(io.StringIO(plain))) == COLUMNS
    more = command("list-checkpoints", "--format", "csv", "--show-metrics", folder=study).stdout
    rows = list(csv.DictReader(io.StringIO(more)))
    assert [row["macro_f1"] for row in rows] == [row["Val F1"] for row in rows]
    table = command("list-checkpoints", "--show-metrics", folder=study).stdout
    assert all(name in table.splitlines()[0] for name in [*COLUMNS, "macro_f1"])


def test_a_damaged_resume_point_is_no_checkpoint(study: Path) -> None:
    folder = study / f"results/work/trials/00/{key_of(2)}"
    (folder / "resume/epoch_003.json").write_text("{}", encoding="utf-8")
    assert [row["epoch"] for row in rows_of(study, "--trial-dir", str(folder))] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--trial-dir", "nowhere"], 1, "nowhere: no such folder"),
        (["--study-dir", "nowhere"], 1, "nowhere: no such folder"),
        (["--trial-dir", "."], 1, "lies in no folder `results`"),
        ([], 1, "no study there"),
        (["--trial-dir", ".", "--study-dir", "."], 2, "give one of them"),
    ],
)
def test_wrong_folders(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    refused = command("list-checkpoints", *arguments, folder=tmp_path)
    assert refused.returncode == code
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
