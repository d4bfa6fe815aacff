"""How far a run is: counts, the best so far, failures and the time left, from the study's log alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from finished_study import made_study
from rich.console import Console

from evidence_hpo.cli import progress as module
from evidence_hpo.cli.progress import ProgressView, StudyProgress, clock
from evidence_hpo.config.configuration import Configuration, default_configuration
from evidence_hpo.study_log import append_event


def configuration(**study: Any) -> Configuration:
    made = default_configuration()
    return made.model_copy(update={"study": made.study.model_copy(update={"architectures": ("criteria",), **study})})


def trial(number: int, value: float | None = 0.5, state: str = "complete", **fields: Any) -> dict[str, Any]:
    where = {"rule": "run_trials", "architecture": "criteria", "stage": "stage1", "job": 1}
    label = f"stage1 trial {number}"
    return {
        "event": "trial_finished",
        **where,
        "key": str(number),
        "label": label,
        "state": state,
        "value": value,
        **fields,
    }


def test_trials_count_once_and_pruned_ones_are_never_the_best(tmp_path: Path) -> None:
    progress = StudyProgress(configuration(), tmp_path)
    for event in (trial(0, 0.4), trial(1, 0.9, "pruned"), trial(2, 0.6), trial(2, 0.6), trial(3, None, "failed")):
        assert progress.update(event) is None
    stage = progress.stages["criteria", "stage1"]
    assert (stage.done, stage.total, stage.failed, stage.best) == (4, 6, 1, (0.6, "trial 2"))


def test_retrained_models_have_a_row_of_their_own(tmp_path: Path) -> None:
    progress = StudyProgress(configuration(), tmp_path)
    progress.update(trial(0, 0.7, rule="retrain_config", stage=None, label="retrain rank 0 seed 0"))
    row = progress.stages["criteria", module.RETRAINING]
    assert (row.done, row.total, row.best) == (1, 4, (0.7, "rank 0 seed 0"))


def test_what_was_finished_before_counts_but_not_for_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 10.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    made_study(tmp_path)
    progress = StudyProgress(configuration(), tmp_path)
    stage = progress.stages["criteria", "stage1"]
    assert stage.done == stage.total == 6, "the made study has more trials than the configuration asks for"
    assert progress.seconds_left() is None
    progress.update(trial(0, 0.7, rule="retrain_config", label="retrain rank 0 seed 0"))
    # One of four models took ten seconds; the stages are done.
    assert progress.seconds_left() == pytest.approx(30.0)


def test_the_rows_end_with_the_stage_that_the_run_ends_with(tmp_path: Path) -> None:
    assert list(StudyProgress(configuration(), tmp_path, "stage1").stages) == [("criteria", "stage1")]


def test_a_failed_job_is_a_line(tmp_path: Path) -> None:
    progress = StudyProgress(configuration(), tmp_path)
    job = {"job": 1, "rule": "run_trials", "architecture": "criteria", "stage": "stage1", "round": "0", "shard": "1"}
    progress.update({"event": "job_started", **job, "log": "l"})
    assert list(progress.running.values()) == ["run_trials criteria/stage1 round 0 shard 1"]
    line = progress.update({"event": "job_failed", **job, "log": "l", "error": None})
    assert line == "failed: run_trials criteria/stage1 round 0 shard 1 (killed); see l"
    assert progress.running == {}


def test_the_display_follows_the_log(tmp_path: Path) -> None:
    log = tmp_path / "study.jsonl"
    append_event(log, "progress", done=99, total=99)  # of an earlier run
    offset = log.stat().st_size
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    view = ProgressView(StudyProgress(configuration(), tmp_path), log, offset, console)
    for event in (trial(0, 0.25), {"event": "progress", "done": 3, "total": 31}):
        fields = {key: value for key, value in event.items() if key != "event"}
        append_event(log, event["event"], **fields)
    console.print(view.render())
    text = console.file.getvalue()
    for part in ("criteria, stage1", "1/6", "best 0.2500 (trial 0)", "jobs 3/31", "left", "criteria, retraining"):
        assert part in text
    assert "99" not in text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.6, "0:01:00"), (3723, "1:02:03"), (2 * 86400 + 1, "2 d 0:00:01")]
)
def test_durations_are_read_by_people(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
