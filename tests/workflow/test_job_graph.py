"""The job graph of every preset: it can be made, and the test split reaches the evaluation alone."""

from __future__ import annotations

import re
from pathlib import Path

import networkx
import pytest
from tests.workflow.study import ROOT, make_study

from evidence_hpo.config.loading import read_yaml
from evidence_hpo.dag import Job, read_job_graph

pytestmark = pytest.mark.workflow

CONFIGURATIONS = [None, "refit", *sorted((ROOT / "presets").glob("*.yaml"))]
REFIT = {"retrain": {"refit_seeds": 2}}
TRAINING_RULES = {
    "prepare_backbone",
    "define_space",
    "narrow_space",
    "propose_trials",
    "run_trials",
    "collect_trials",
    "select_configs",
    "retrain_config",
    "choose_config",
    "retrain_chosen",
    "refit_chosen",
    "summarize_retraining",
}
TRAINING_JOBS = {"run_trials", "retrain_config", "retrain_chosen", "refit_chosen"}
AUGMENTING_RULES = {"augment_examples", "augment_with_textattack", "tokenize_augmented", "summarize_augmentation"}
READERS_OF_THE_TEST_SPLIT = {"build_examples", "tokenize_examples", "evaluate"}


@pytest.fixture(
    scope="module",
    params=CONFIGURATIONS,
    ids=lambda given: given.stem if isinstance(given, Path) else given or "default",
)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> networkx.DiGraph[int]:
    study = make_study(tmp_path_factory.mktemp("study"), REFIT if request.param == "refit" else {})
    arguments = ["--configfile", str(request.param)] if isinstance(request.param, Path) else []
    return read_job_graph(study.run(*arguments, "--forceall", "--dag", "dot").stdout)


def test_test_split_reaches_no_search_and_no_training(graph: networkx.DiGraph[int]) -> None:
    jobs: dict[int, Job] = {node: graph.nodes[node]["job"] for node in graph}
    test_nodes = [node for node, job in jobs.items() if job.wildcards.get("split") == "test"]
    assert test_nodes, "the graph has no job that reads the test split: the test would prove nothing"
    for node in test_nodes:
        reached = {jobs[other].rule for other in networkx.descendants(graph, node)}
        assert not reached & (TRAINING_RULES | AUGMENTING_RULES)
        assert "evaluate" in reached
        direct = {jobs[other].rule for other in graph.successors(node)}
        assert direct <= READERS_OF_THE_TEST_SPLIT


def test_only_training_examples_are_varied(graph: networkx.DiGraph[int], request: pytest.FixtureRequest) -> None:
    jobs: dict[int, Job] = {node: graph.nodes[node]["job"] for node in graph}
    held_out = [node for node, job in jobs.items() if job.wildcards.get("split") in {"validation", "test"}]
    reached = {jobs[other].rule for node in held_out for other in networkx.descendants(graph, node)}
    assert not reached & AUGMENTING_RULES
    rules = {job.rule for job in jobs.values()}
    given = request.node.callspec.params["graph"]
    preset = given.stem if isinstance(given, Path) else given
    assert ("augment_with_textattack" in rules) == (preset == "augmented"), "TextAttack is used where it is asked for"
    if preset in {None, "refit", "smoke"}:
        assert not rules & {*AUGMENTING_RULES, "plot_augmentation", "build_textattack", "prepare_wordnet"}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_bank_of_another_split_can_be_asked_for(tmp_path: Path, split: str) -> None:
    study = make_study(tmp_path, {})
    bank = "results/augmentation/criteria/original/aeda/level_1/part_0.parquet"
    rows = "results/tokens/small/criteria/augmented/original/aeda/level_1/examples.arrow"
    assert study.planned(bank)["augment_examples"] == 1
    for path in (bank, rows):
        planned = study.planned(path)
        assert planned["build_examples"] == 1, "the training examples alone"
    for path in (bank.replace("original", split), rows.replace("augmented", split), rows.replace("original", split)):
        refused = study.run("--dry-run", path, check=False)
        assert "MissingRuleException" in refused.stdout + refused.stderr


def test_graph_has_every_phase(graph: networkx.DiGraph[int], request: pytest.FixtureRequest) -> None:
    rules = {graph.nodes[node]["job"].rule for node in graph}
    assert rules >= TRAINING_RULES - {"narrow_space", "refit_chosen"}
    given = request.node.callspec.params["graph"]
    refits = given == "refit" or (isinstance(given, Path) and "refit_seeds" in read_yaml(given).get("retrain", {}))
    assert ("refit_chosen" in rules) == refits
    assert rules >= {"evaluate", "report_evaluation", "summarize_study", "plot_search", "plot_evaluation", "draw_dag"}
    assert rules >= {"export_model", "analyse_search", "export_study", "report_cost", "write_overview"}


def test_jobs_that_train_and_those_they_wait_for_go_first(graph: networkx.DiGraph[int]) -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    first = {
        name for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", rules, re.M) if "priority: FIRST" in body
    }
    jobs: dict[int, Job] = {node: graph.nodes[node]["job"] for node in graph}
    trains = {node for node, job in jobs.items() if job.rule in TRAINING_JOBS}
    awaited = trains.union(*(networkx.ancestors(graph, node) for node in trains))
    assert {jobs[node].rule for node in awaited} == first & {job.rule for job in jobs.values()}
