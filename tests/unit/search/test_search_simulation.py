"""A whole two-stage search through the real steps, with a fast stand-in for training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_support import CONDITIONAL, SPACE, FileStudy, stage

from evidence_hpo.config.search import PrunerSettings, SearchSettings
from evidence_hpo.errors import TrainingError
from evidence_hpo.files import read_json
from evidence_hpo.search.records import read_proposals, read_trials


def two_stages(lag: int) -> SearchSettings:
    return SearchSettings(
        stages=(
            stage(lag=lag, trials=40, first_round=16, round_size=8),
            stage("stage2", space=None, lag=lag, trials=20, first_round=5, round_size=5, epochs=6),
        )
    )


@pytest.mark.parametrize("lag", [0, 1])
def test_the_number_and_order_of_shards_change_no_byte(tmp_path: Path, lag: int) -> None:
    reference = FileStudy(tmp_path / "one", two_stages(lag))
    reference.run()
    contents = reference.contents()
    states = {trial.state for trial in read_trials([reference.folder("stage1") / "trials.jsonl"])}
    assert states == {"complete", "pruned", "failed"}
    assert len(contents) == 2 * 3 + 4 + 4
    for name, shards, shuffle in (("three", 3, 1), ("many", 64, None)):
        other = FileStudy(tmp_path / name, two_stages(lag), shards, shuffle)
        other.run()
        assert other.contents() == contents


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Return the arguments of a study: a first stage, and often a narrowed one with settings of its own."""
    stages = []
    for number in range(draw(st.integers(1, 2))):
        first = draw(st.integers(1, 14))
        kind = draw(st.sampled_from(["none", "successive_halving", "median"]))
        rungs = draw(st.sampled_from([(1.0,), (0.5, 2.0), (0.25,)]))
        stages.append(
            stage(
                f"stage{number + 1}",
                space="space" if number == 0 else None,
                sampler=draw(st.sampled_from(["tpe", "tpe_multivariate", "grid", "random"])),
                grid_points=draw(st.integers(2, 4)),
                first_round=first,
                trials=first + draw(st.integers(0, 16)),
                round_size=draw(st.integers(1, 9)),
                lag=draw(st.integers(0, 2)),
                pruner=PrunerSettings(kind=kind, rungs=rungs, minimum_trials=draw(st.integers(1, 5))),
                epochs=3,
            )
        )
    return {
        "search": SearchSettings(stages=tuple(stages)),
        "space": draw(st.sampled_from([SPACE, CONDITIONAL])),
        "fail": draw(st.sampled_from([0.0, 0.1, 0.6, 0.9])),
    }


def ending(study: FileStudy) -> str:
    """Run a study; return the error that ends it, as when every trial of a stage fails."""
    try:
        study.run()
    except TrainingError as error:
        return str(error)
    return "complete"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies(), st.integers(2, 9), st.integers(0, 1000))
def test_no_study_depends_on_how_it_was_run(study: dict[str, Any], shards: int, shuffle: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        one = FileStudy(Path(name) / "one", **study)
        other = FileStudy(Path(name) / "other", **study, shards=shards, shuffle=shuffle)
        assert ending(other) == ending(one)
        assert other.contents() == one.contents()


def every_sampler() -> SearchSettings:
    return SearchSettings(
        stages=(
            stage(trials=26, first_round=14, round_size=6, lag=1),
            stage("stage2", space=None, sampler="tpe_multivariate", trials=22, first_round=13, round_size=5),
            stage("stage3", space=None, sampler="grid", trials=8, first_round=3, round_size=3),
            stage("stage4", space=None, sampler="random", trials=8, first_round=3, round_size=3),
            stage("stage5", sampler="gp", trials=18, first_round=16, round_size=2),
        )
    )


def test_hash_seed_threads_and_order_of_imports_change_no_byte(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "for name in sys.argv[2:]: __import__(name)\n"
        "from search_support import CONDITIONAL\n"
        "from test_search_simulation import FileStudy, every_sampler\n"
        "FileStudy(Path(sys.argv[1]), every_sampler(), 2, space=CONDITIONAL).run()\n"
    )
    contents = []
    for seed, threads, first in (("1", "1", []), ("2", "2", ["torch", "sklearn.linear_model", "optuna"])):
        folder = tmp_path / seed
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "OMP_NUM_THREADS": threads,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        }
        command = [sys.executable, "-c", script, str(folder), *first]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        contents.append(FileStudy(folder, every_sampler()).contents())
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5 * 3 + 3 + 3 + 3 + 3 + 2


def test_second_stage_reruns_the_best_and_prunes_none_of_them(tmp_path: Path) -> None:
    study = FileStudy(tmp_path, two_stages(0))
    study.run()
    before = read_trials([study.folder("stage1") / "trials.jsonl"])
    best = sorted((t for t in before if t.state == "complete"), key=lambda t: -t.score)[:5]
    proposals = read_proposals(study.folder("stage2") / "round_0" / "proposals.json")
    assert [trial.origin.number for trial in proposals.trials if trial.origin] == [trial.number for trial in best]
    assert [trial.parameters for trial in proposals.trials] == [trial.parameters for trial in best]
    assert not {trial.seed for trial in proposals.trials} & {trial.seed for trial in before}
    assert all(rung.threshold is None for trial in proposals.trials for rung in trial.rungs)
    reruns = read_json(study.folder("stage2") / "summary.json")["reruns"]
    assert reruns["stage_before"] == "stage1"
    assert {pair["origin"] for pair in reruns["pairs"]} <= {trial.number for trial in best}
    assert -1 <= reruns["spearman"] <= 1


def test_more_rounds_leave_the_earlier_ones_as_they_are(tmp_path: Path) -> None:
    short = FileStudy(tmp_path / "short", SearchSettings(stages=(stage(trials=30, first_round=16, round_size=8),)))
    long = FileStudy(tmp_path / "long", SearchSettings(stages=(stage(trials=43, first_round=16, round_size=8),)))
    short.run()
    long.run()
    trials = [(study.folder("stage1") / "trials.jsonl").read_text().splitlines() for study in (short, long)]
    assert len(trials[0]) == 30
    assert trials[1][:30] == trials[0]


def test_summary_counts_epochs(tmp_path: Path) -> None:
    pruner = PrunerSettings(rungs=(1.0,), minimum_trials=5)
    study = FileStudy(tmp_path, SearchSettings(stages=(stage(pruner=pruner),)))
    study.run()
    summary = read_json(study.folder("stage1") / "summary.json")
    states, epochs = summary["states"], summary["epochs"]
    assert states["pruned"] > 0
    assert epochs["saved_by_pruning"] == states["pruned"] * 3
    assert epochs["spent"] == 4 * states["complete"] + states["pruned"]
    assert epochs["full"] == 4 * 40
    rows = [json.loads(line) for line in (study.folder("stage1") / "trials.jsonl").read_text().splitlines()]
    best = max((row for row in rows if row["state"] == "complete"), key=lambda row: row["value"])
    assert summary["best"]["number"] == best["number"]
