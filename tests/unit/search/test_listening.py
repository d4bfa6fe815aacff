"""Execution tells of each run: where it is in the study, how it ended, and of one from the trial cache its points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.search.test_trial_cache import Counter, request

from evidence_hpo.logs import open_log
from evidence_hpo.search.execution import execute
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.tracking.events import EventListener, read_events

PLACE = {"study": "toy", "stage": "stage1", "number": 1}


def events_of_execution(root: Path, runner: Any) -> list[Any]:
    """Return the events of one job that runs trial 1."""
    log = root / "results/logs/job.log"
    with open_log(log):
        execute([request(1, place=PLACE)], runner, TrialCache(root / "cache"), EventListener())
    return read_events(root / "results/events/job.jsonl")


def test_a_run_is_told_of_and_again_from_the_cache_with_its_points(tmp_path: Path) -> None:
    runner = Counter()
    first = events_of_execution(tmp_path, runner)
    assert [one.kind for one in first] == ["run_started", "run_finished"]  # of its points the training tells
    about = first[0].fields["about"]
    assert (about["place"], about["cached"], about["rungs"]) == (PLACE, False, [1.0])
    assert first[0].key == request(1).key
    again = events_of_execution(tmp_path, runner)[2:]
    assert len(runner.seeds) == 1
    assert again[0].fields["about"]["cached"]
    kinds = [one.kind for one in again]
    assert kinds == ["run_started", *["metrics"] * (len(kinds) - 2), "run_finished"]
    assert len(kinds) > 2
    assert again[-1].fields == first[-1].fields


def test_a_run_that_raises_is_told_of_as_failed(tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    events = events_of_execution(tmp_path, broken)
    assert events[-1].fields["result"]["state"] == "failed"
    assert events[-1].fields["result"]["reason"] == "RuntimeError: broken"


def test_an_event_that_cannot_be_written_changes_no_result(tmp_path: Path) -> None:
    (tmp_path / "a/results").mkdir(parents=True)
    (tmp_path / "a/results/events").write_text("in the way")
    outcomes = []
    for name in ("a", "b"):
        with open_log(tmp_path / name / "results/logs/job.log"):
            finished = execute([request(1)], Counter(), TrialCache(tmp_path / name / "cache"), EventListener())
        outcomes.append(finished[0].outcome.model_copy(update={"duration_seconds": 0.0}))
    assert outcomes[0] == outcomes[1]
