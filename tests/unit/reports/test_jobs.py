"""Jobs from provenance: which belong to the study, where, what they waited for, and when the study paused."""

from __future__ import annotations

from typing import Any

import pytest
from reports_toys import START, job, provenance

from evidence_hpo.reports.jobs import jobs_of, phase_of, study_clock

PROPOSALS = "results/criteria/stage1/round_0/proposals.json"
SHARDS = [f"results/criteria/stage1/round_0/shard_{number}.jsonl" for number in range(3)]
STUDY: dict[str, Any] = {
    "prepare_corpus": provenance("prepare_corpus", 0, 4, posts="results/corpus/posts.parquet"),
    "criteria/stage1/round_0/propose_trials": provenance("propose_trials", 5, 2, output=PROPOSALS),
    "criteria/stage1/round_0/shard_0": provenance("run_trials", 8, 30, proposals=PROPOSALS, output=SHARDS[0]),
    "criteria/stage1/round_0/shard_1": provenance("run_trials", 40, 10, proposals=PROPOSALS, output=SHARDS[1]),
    "criteria/stage1/round_0/shard_2": provenance("run_trials", 1, 1, proposals=PROPOSALS, output=SHARDS[2]),
    "criteria/stage1/collect_trials": provenance("collect_trials", 52, 1, shards=SHARDS[:2]),
    "evidence/evaluate": provenance("evaluate", 60, 1),
}
WANTED = set(STUDY) - {"criteria/stage1/round_0/shard_2", "evidence/evaluate"}


def test_jobs_that_are_not_of_the_study_are_left_out() -> None:
    names = [one.name for one in jobs_of(STUDY, WANTED)]
    assert names == [
        "prepare_corpus",
        "criteria/stage1/round_0/propose_trials",
        "criteria/stage1/round_0/shard_0",
        "criteria/stage1/round_0/shard_1",
        "criteria/stage1/collect_trials",
    ]


def test_a_job_waits_from_its_last_input_on() -> None:
    jobs = {one.name.split("/")[-1]: one for one in jobs_of(STUDY, WANTED)}
    clock = study_clock(list(jobs.values()))
    assert clock.waited(jobs["prepare_corpus"]) is None
    assert clock.waited(jobs["shard_0"]) == pytest.approx(1.0)
    assert clock.waited(jobs["shard_1"]) == pytest.approx(33.0)
    assert clock.waited(jobs["collect_trials"]) == pytest.approx(2.0)


def test_jobs_without_times_are_left_out() -> None:
    old = {key: value for key, value in STUDY["prepare_corpus"].items() if key != "job"}
    assert "prepare_corpus" not in {one.name for one in jobs_of({**STUDY, "prepare_corpus": old}, WANTED)}


@pytest.mark.parametrize(
    ("name", "step", "phase"),
    [
        ("criteria/stage1/round_0/shard_0", "run_trials", ("criteria", "stage1")),
        ("criteria/retrain/final/seed_0", "retrain_chosen", ("criteria", "retraining")),
        ("criteria/retrain/choose_config", "choose_config", ("criteria", "retraining")),
        ("criteria/evaluate", "evaluate", ("criteria", "evaluation")),
        ("criteria/plot_search", "plot_search", ("", "reports")),
        ("tokenize_examples/small.criteria.train", "tokenize_examples", ("", "data")),
        ("a/new/kind/of/job", "something_new", ("", "reports")),
    ],
)
def test_each_job_has_its_part_of_the_study(name: str, step: str, phase: tuple[str, str]) -> None:
    assert phase_of(name, step) == phase


def test_a_night_in_which_the_study_stood_still_is_neither_time_nor_waiting() -> None:
    night = 40_000.0
    jobs = [job("a", 0, 100), job("b", 100, 400), job("c", night, night + 500, ready=400)]
    clock = study_clock(jobs)
    assert [(one.start - START, one.end - START) for one in clock.breaks] == [(400, night)]
    assert clock.seconds == pytest.approx(900)
    assert clock.waited(jobs[2]) == pytest.approx(0)


def test_a_short_gap_is_waiting() -> None:
    jobs = [job("a", 0, 100), job("b", 400, 500, ready=100)]
    clock = study_clock(jobs)
    assert clock.breaks == ()
    assert clock.waited(jobs[1]) == pytest.approx(300)
