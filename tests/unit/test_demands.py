"""What jobs that train ask a scheduler for, as the Snakefile binds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence_hpo.config.configuration import Configuration, default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.demands import Demands
from evidence_hpo.graph import StudyGraph


def configured(**changes: object) -> Configuration:
    return load_configuration(merge(default_configuration().model_dump(mode="json"), changes))


def test_a_shard_asks_for_the_time_of_its_trials() -> None:
    sizes = {"trials": 400, "first_round": 100, "round_size": 300, "epochs": 8, "data_fraction": 1.0}
    slow = {"training": {"runtime": {"device": "cpu"}}}
    stages = default_configuration().model_dump(mode="json")["search"]["stages"]

    def asked(shards: int, round_: int, attempt: int = 1) -> int:
        changed = [{**stages[0], **sizes, "shards": shards, "pruner": {"kind": "none"}}]
        demands = Demands(StudyGraph(configured(search={"stages": changed}, **slow)), Path("nothing"))
        return demands.trial_minutes("criteria", "stage1", round_, attempt)

    assert asked(1, 0) > 3 * asked(4, 0) / 2, "fewer trials in a shard, less time"
    assert asked(4, 1) > asked(4, 0), "a round of more trials, more time"
    assert asked(4, 0, attempt=2) >= 2 * asked(4, 0) - 10


def test_what_finished_shards_took_decides(tmp_path: Path) -> None:
    before = Demands(StudyGraph(configured()), tmp_path / "nothing ran here")
    path = tmp_path / "results/benchmarks/criteria/stage1/round_0/shard_0.tsv"
    path.parent.mkdir(parents=True)
    # Two trials of two epochs on half of the posts: 1200 s an epoch on all of them.
    path.write_text("s\tmax_rss\n2400\t8000\n", encoding="utf-8")
    after = Demands(StudyGraph(configured()), tmp_path)
    assert after.trial_minutes("criteria", "stage1", 0, 1) == 130 > before.trial_minutes("criteria", "stage1", 0, 1)
    assert after.training_memory("criteria", 1) == 12000 > before.training_memory("criteria", 1)
    assert after.training_memory("evidence", 1) == before.training_memory("evidence", 1), "of another architecture"


def test_memory_and_time_are_for_the_largest_values_of_the_spaces() -> None:
    space = default_configuration().model_dump(mode="json")["spaces"]["sample"]
    slow = {"runtime": {"device": "cpu"}}
    larger = configured(
        training=slow,
        spaces={"sample": {**space, "max_length": {"choices": [128, 512]}}},
        backbones={"small": {"hidden": 512, "layers": 8, "max_positions": 512}},
    )
    plain = Demands(StudyGraph(configured(training=slow)), Path("nothing"))
    longer = Demands(StudyGraph(larger), Path("nothing"))
    assert longer.training_memory("criteria", 1) > plain.training_memory("criteria", 1)
    assert longer.run_minutes("criteria", 1) > plain.run_minutes("criteria", 1)


def test_trials_that_share_a_gpu_share_what_their_shard_took(tmp_path: Path) -> None:
    search = default_configuration().model_dump(mode="json")["search"]
    stage = {**search["stages"][0], "trials": 8, "first_round": 4, "round_size": 4, "shards": 1}
    four = {**search, "stages": [stage], "trials_per_gpu": 4}
    on_gpu = {"search": four, "training": {"runtime": {"device": "cuda"}}}

    def demands(root: Path) -> Demands:
        return Demands(StudyGraph(configured(**on_gpu)), root)

    unknown = demands(tmp_path / "nothing ran here")
    assert unknown.trial_memory("criteria", "stage1", 0, 1) == pytest.approx(
        4 * unknown.training_memory("criteria", 1), rel=0.05
    )
    path = tmp_path / "results/benchmarks/criteria/stage1/round_0/shard_0.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("s\tmax_rss\n2400\t16000\n", encoding="utf-8")
    known = demands(tmp_path)
    for attempt in (1, 2):  # how many processes the benchmark holds is not recorded: it may have been another number
        assert known.trial_memory("criteria", "stage1", 0, attempt) == unknown.trial_memory(
            "criteria", "stage1", 0, attempt
        )
        assert known.training_memory("criteria", attempt) == unknown.training_memory("criteria", attempt)
    assert known.trial_minutes("criteria", "stage1", 0, 1) == 130, "what the whole shard took, with its margin"
    on_cpu = Demands(StudyGraph(configured(search=four, training={"runtime": {"device": "cpu"}})), tmp_path)
    assert on_cpu.training_memory("criteria", 1) == on_cpu.trial_memory("criteria", "stage1", 0, 1) == 24000
