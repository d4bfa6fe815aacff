"""The Optuna storage: Optuna's own reader finds every trial as it was."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from evaluation_toys import space, trials
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from evidence_hpo.errors import DataError, StorageError
from evidence_hpo.evaluation.optuna_export import frozen_trials, write_storage
from evidence_hpo.files import atomic_path


def loaded(path: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


def exported(path: Path, rows: list[dict[str, Any]], box: dict[str, Any]) -> optuna.Study:
    assert write_storage(path, [(rows, box)]) == len(rows)
    return loaded(path, "toy/share/stage1")


def test_optuna_reads_the_same_trials(tmp_path: Path) -> None:
    rows = trials("stage1", 12)
    study = exported(tmp_path / "optuna.db", rows[::-1], space("stage1"))
    for row, trial in zip(rows, study.trials, strict=True):
        assert trial.number == row["number"]
        assert trial.params == row["sampled"]
        assert trial.value == row["value"]
        metrics = {round(one["epoch"]): one["metrics"]["macro_f1"] for one in row["evaluations"]}
        assert trial.intermediate_values == metrics
        for name in ("seed", "key", "effective_learning_rate", "duration_seconds"):
            assert trial.user_attrs[name] == row[name]
        assert trial.user_attrs.get("reason") == row["reason"]
        assert trial.user_attrs["epochs"] == (row["evaluations"][-1]["epoch"] if row["evaluations"] else 0.0)
    assert [trial.state for trial in study.trials[3:6]] == [TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    best = max((row for row in rows if row["state"] == "complete"), key=lambda row: row["value"])
    assert study.best_trial.number == best["number"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs["step"] == "epoch"


def test_what_is_written_is_what_was_made(tmp_path: Path) -> None:
    rows = trials("stage1", 12)
    made = frozen_trials(rows, space("stage1"))
    for written, one in zip(exported(tmp_path / "optuna.db", rows, space("stage1")).trials, made, strict=True):
        for name in ("number", "state", "value", "params", "distributions", "user_attrs", "intermediate_values"):
            assert getattr(written, name) == getattr(one, name)
        assert (written.datetime_start, written.datetime_complete) == (one.datetime_start, one.datetime_complete)


def test_times_follow_from_durations_and_read_no_clock(tmp_path: Path) -> None:
    study = exported(tmp_path / "optuna.db", trials("stage1", 3), space("stage1"))
    beginning = datetime.datetime(1970, 1, 1)
    starts = [(trial.datetime_start - beginning).total_seconds() for trial in study.trials if trial.datetime_start]
    assert starts == [0.0, 1.5, 4.0]
    assert [trial.duration.total_seconds() for trial in study.trials if trial.duration] == [1.5, 2.5, 3.5]
    again = exported(tmp_path / "again.db", trials("stage1", 3), space("stage1"))
    assert again.trials == study.trials


def test_distributions_hold_what_reruns_tried_outside_the_space(tmp_path: Path) -> None:
    rows = trials("stage1", 12)
    study = exported(tmp_path / "optuna.db", rows, space("stage1"))
    rates = [row["sampled"]["learning_rate"] for row in rows]
    wide = study.trials[0].distributions["learning_rate"]
    assert wide == FloatDistribution(min(rates), max(rates), log=True), "the box is 0.001 to 0.002, tried was more"
    assert study.trials[0].distributions["dropout"] == FloatDistribution(0.0, 0.3)


def test_batching_is_two_parameters_and_widths_are_text(tmp_path: Path) -> None:
    rows = trials("stage1", 3)
    pairs = [{"batch_size": 8, "gradient_accumulation_steps": 4}, {"batch_size": 64, "gradient_accumulation_steps": 1}]
    for row in rows:
        row["sampled"] = {**pairs[0], "head_hidden": [64, 32]}
    box = space("stage1")
    box["dimensions"] = [
        {"name": "batching", "kind": "categorical", "choices": pairs, "note": "toy"},
        {"name": "head_hidden", "kind": "categorical", "choices": [[64, 32], 16], "note": "toy"},
    ]
    trial = exported(tmp_path / "optuna.db", rows, box).trials[0]
    assert trial.params == {"batch_size": 8, "gradient_accumulation_steps": 4, "head_hidden": "[64,32]"}
    assert trial.distributions["batch_size"] == CategoricalDistribution([8, 64])
    assert trial.distributions["head_hidden"] == CategoricalDistribution([16, "[64,32]"])


def test_a_rung_within_an_epoch_makes_steps_thousandths(tmp_path: Path) -> None:
    rows = trials("stage1", 2)
    rows[0]["evaluations"].insert(0, {"epoch": 0.5, "train": {}, "metrics": {"macro_f1": None}})
    rows[1]["evaluations"].insert(0, {"epoch": 0.52, "train": {}, "metrics": {"macro_f1": 0.3}})
    study = exported(tmp_path / "optuna.db", rows, space("stage1"))
    assert list(study.trials[0].intermediate_values) == [1000, 2000, 3000], "an undefined value is no value"
    assert list(study.trials[1].intermediate_values) == [520, 1000, 2000, 3000]
    assert study.user_attrs["step"] == "thousandth of an epoch"


def test_each_stage_is_a_study_and_a_missing_trial_is_refused(tmp_path: Path) -> None:
    stages = [(trials(name, 3), space(name)) for name in ("stage1", "stage2")]
    assert write_storage(tmp_path / "optuna.db", stages) == 6
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert names == ["toy/share/stage1", "toy/share/stage2"]
    for rows in ([], trials("stage1", 3)[1:]):
        with pytest.raises(DataError, match="share/stage1: the trials are not numbers 0 to n - 1"):
            write_storage(tmp_path / "other.db", [(rows, space("stage1"))])


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # Optuna tries again after a pause
    import sqlite3

    connect = sqlite3.connect

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with (
        pytest.raises(StorageError, match=r"optuna\.db: cannot be written: No space left"),
        atomic_path(tmp_path / "optuna.db") as temporary,
    ):
        write_storage(temporary, [(trials("stage1", 400), space("stage1"))])
    assert list(tmp_path.iterdir()) == []
