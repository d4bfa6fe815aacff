"""A whole two-stage search through the real steps, with a fast stand-in for training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from search_support import FileStudy, stage

from evidence_hpo.config.search import PrunerSettings, SearchSettings
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
    for name, shards, backwards in (("three", 3, True), ("many", 64, False)):
        other = FileStudy(tmp_path / name, two_stages(lag), shards, backwards)
        other.run()
        assert other.contents() == contents


def test_hash_seed_changes_no_byte(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from search_support import FileStudy\n"
        "from test_search_simulation import two_stages\n"
        "FileStudy(Path(sys.argv[1]), two_stages(1), 2).run()\n"
    )
    studies = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        subprocess.run([sys.executable, "-c", script, str(folder)], env=environment, check=True, capture_output=True)
        studies.append(FileStudy(folder, two_stages(1)).contents())
    assert studies[0] == studies[1]


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
