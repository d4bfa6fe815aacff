"""Collected trials and the summary of a stage."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_narrowing import record

from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.schemas import check_artefact, write_artefact_lines
from evidence_hpo.search.collection import check_complete, summarize_stage
from evidence_hpo.search.records import Origin, read_trials


def test_all_failed_names_the_commonest_reasons() -> None:
    trials = [record(i, 0, {"dropout": 0.1}, "failed") for i in range(5)]
    trials[0] = trials[0].model_copy(update={"reason": "out of GPU memory"})
    with pytest.raises(TrainingError, match=r"criteria/stage1: all 5 trials failed: non-finite loss \(4 trials\); out"):
        check_complete(trials)


def test_missing_trials_are_named() -> None:
    trials = [record(i, 0.5, {"dropout": 0.1}) for i in (0, 2, 5)]
    with pytest.raises(DataError, match="trials 1, 3, 4 are missing"):
        check_complete(trials)
    with pytest.raises(DataError, match="no trials"):
        check_complete([])


def test_a_trial_in_two_shards_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        row = record(3, 0.5, {"dropout": 0.1}).model_dump(mode="json")
        write_artefact_lines(tmp_path / name, "trial", [row])
    with pytest.raises(DataError, match="trial 3 of criteria/stage1 is in two shards"):
        read_trials([tmp_path / "a", tmp_path / "b"])
    write_artefact_lines(tmp_path / "empty", "trial", [])
    assert read_trials([tmp_path / "empty"]) == []


def test_rank_correlation_of_reruns() -> None:
    before = [record(i, i / 10, {"dropout": i / 20}) for i in range(5)]
    after = [
        record(i, value, {"dropout": i / 20}).model_copy(
            update={"stage": "stage2", "origin": Origin(stage="stage1", number=i)}
        )
        for i, value in enumerate([0.1, 0.3, 0.2, 0.4, 0.5])
    ]
    summary = summarize_stage(after, before, [after[3:], after[:3]])
    check_artefact("stage_summary", summary, "summary.json")
    assert summary["reruns"]["spearman"] == pytest.approx(0.9)
    assert summary["reruns"]["kendall"] == pytest.approx(0.8)
    assert summary["reruns"]["pairs"][1] == {"number": 1, "origin": 1, "value": 0.3, "value_before": 0.1}
    few = summarize_stage(after[:2], before, [after[:2]])["reruns"]
    assert few["spearman"] is None
    assert "2 pairs" in few["note"]
    assert summarize_stage(before, [], [before])["reruns"] is None


def test_the_seconds_of_each_shard_are_kept_by_round_in_running_order() -> None:
    seconds = {0: 3.0, 1: 5.0, 2: 7.0, 3: 11.0}
    trials = {
        number: record(number, 0.5, {"dropout": 0.1}).model_copy(
            update={
                "duration_seconds": duration,
                "round": number // 3,
                "parameters": {"backbone": "b" if number == 0 else "a"},
            }
        )
        for number, duration in seconds.items()
    }
    shards = [[trials[3]], [trials[0], trials[2]], [trials[1]], []]
    timing = summarize_stage([trials[number] for number in range(4)], [], shards)["timing"]
    # Trials of one encoder follow each other, so the shard ran trial 2 before trial 0.
    assert timing == [{"round": 0, "shards": [[7.0, 3.0], [5.0]]}, {"round": 1, "shards": [[11.0]]}]
