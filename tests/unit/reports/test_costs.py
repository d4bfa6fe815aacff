"""Costs: sums by part, energy that is shared out, unknown that stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_toys import job

from evidence_hpo.reports.cost_plot import cost_figure
from evidence_hpo.reports.costs import Spent, busiest, cost_report, expected_jobs, retraining_spent
from evidence_hpo.reports.jobs import Job
from evidence_hpo.schemas import check_artefact

SPENT = {("criteria", "stage1"): Spent(4, 7.5, 12, 90.0), ("criteria", "retraining"): Spent(2, 6, 6, 40.0)}


def cost(jobs: Sequence[Job], without_times: int = 0) -> dict[str, Any]:
    return cost_report("toy", jobs, SPENT, without_times)


def test_the_report_fits_its_schema_and_sums_the_parts() -> None:
    jobs = [
        job("prepare_corpus", 0, 10, step="prepare_corpus"),
        job("criteria/stage1/round_0/shard_0", 12, 112, ready=10),
        job("criteria/stage1/round_0/shard_1", 15, 65, ready=10),
        job("criteria/retrain/final/seed_0", 120, 170, step="retrain_chosen", ready=112),
        job("draw_dag", 0, 5, step="draw_dag"),
    ]
    found = cost(sorted(jobs, key=lambda one: one.started), 3)
    check_artefact("cost", found, "toy")
    assert [part["part"] for part in found["parts"]] == ["data", "stage1", "retraining", "reports"]
    stage = found["parts"][1]
    assert (stage["jobs"], stage["job_seconds"], stage["waiting_seconds"]) == (2, 150.0, 7.0)
    assert (stage["runs"], stage["epochs"], stage["training_seconds"]) == (4, 7.5, 90.0)
    total = found["total"]
    assert (total["trials"], total["retrained"], total["epochs"], total["job_seconds"]) == (4, 2, 13.5, 215.0)
    assert (found["wall_seconds"], found["workers"], found["jobs_without_times"]) == (170.0, 2, 3)


def test_energy_that_no_counter_gave_is_null_and_the_figure_says_so() -> None:
    found = cost([job("criteria/stage1/round_0/shard_0", 0, 100)])
    assert found["total"]["cpu_joules"] is None
    assert found["total"]["gpu_joules"] is None
    assert found["energy_readable"] == {"cpu": 0, "gpu": 0}
    texts = [text.get_text() for axes in cost_figure(found).axes for text in axes.texts]
    assert any("Energy: unknown" in text for text in texts)


def test_jobs_side_by_side_share_the_energy_of_their_machine() -> None:
    # A machine at 10 W for 100 s; both jobs run in its middle half, and read what the whole machine used.
    jobs = [
        job("criteria/stage1/round_0/shard_0", 0, 75, cpu_joules=750.0),
        job("criteria/stage1/round_0/shard_1", 25, 100, cpu_joules=750.0),
        job("criteria/stage1/round_0/shard_2", 0, 100, cpu_joules=70.0, host="other"),
    ]
    assert cost(jobs)["total"]["cpu_joules"] == pytest.approx(1000.0 + 70.0)


def test_jobs_on_one_gpu_share_its_energy_and_jobs_on_two_do_not() -> None:
    names = [f"criteria/stage1/round_0/shard_{number}" for number in range(3)]
    jobs = [
        job(names[0], 0, 10, gpu_joules={"GPU-a": 100.0}),
        job(names[1], 0, 10, gpu_joules={"GPU-a": 100.0}),
        job(names[2], 0, 10, gpu_joules={"GPU-b": 30.0}),
    ]
    found = cost(jobs)
    assert found["total"]["gpu_joules"] == pytest.approx(130.0)
    assert found["energy_readable"] == {"cpu": 0, "gpu": 3}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_shared_energy_is_the_energy_of_the_time_in_which_any_job_ran(spans: list[tuple[int, int]]) -> None:
    watts = 7.0
    jobs = [
        job(f"criteria/stage1/round_0/shard_{number}", start, start + length, cpu_joules=watts * length)
        for number, (start, length) in enumerate(spans)
    ]
    busy = {second for start, length in spans for second in range(start, start + length)}
    found = cost(sorted(jobs, key=lambda one: one.started))
    assert found["total"]["cpu_joules"] == pytest.approx(watts * len(busy), abs=0.01)


def test_workers_are_the_most_jobs_at_once() -> None:
    assert busiest([job("a", 0, 10), job("b", 10, 20), job("c", 5, 15)]) == 2


def test_models_of_an_architecture_that_were_not_trained_cost_nothing() -> None:
    record = {
        "state": "complete",
        "evaluations": [{"epoch": 1.0}, {"epoch": 2.5}],
        "epochs": 4,
        "duration_seconds": 9.0,
    }
    assert retraining_spent([record, {"state": "absent"}]) == Spent(1, 2.5, 4.0, 9.0)


def test_the_jobs_that_are_expected_follow_from_the_results() -> None:
    timing = [{"round": 0, "shards": [[1.0], [2.0]]}]
    summary = {"architecture": "criteria", "stage": "stage1", "timing": timing}
    seed = [{"seed_index": 0}]
    retrained = {"criteria": {"configurations": [{"rank": 1, "seeds": seed}], "final": {"seeds": seed}, "refit": None}}
    names = expected_jobs([summary], retrained)
    assert {"criteria/stage1/round_0/shard_1", "criteria/retrain/rank_1/seed_0", "criteria/evaluate"} <= names
    assert not {"criteria/stage1/round_0/shard_2", "criteria/retrain/refit/seed_0"} & names
