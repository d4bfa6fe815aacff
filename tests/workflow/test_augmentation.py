"""A study that augments with both families, for real: TextAttack in its own environment, banks, trials, reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.textattack_environment import ENVIRONMENTS, require_wordnet, textattack_interpreter
from tests.workflow.study import Study, make_study
from tests.workflow.test_presets import check_results, overlays

from evidence_hpo.files import read_json

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def augmented(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return the finished small variant of the preset; TextAttack's environment is shared with other tests."""
    textattack_interpreter()
    require_wordnet()
    raw, _ = overlays("augmented")
    study = make_study(tmp_path_factory.mktemp("augmented"), raw)
    work = study.folder / "results" / "work"
    work.mkdir(parents=True)
    (work / "environments").symlink_to(ENVIRONMENTS)
    study.run("--cores", "2")
    return study


def trials(study: Study, architecture: str) -> list[dict[str, Any]]:
    files = sorted((study.folder / "results" / architecture).glob("stage*/trials.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_it_runs_end_to_end(augmented: Study) -> None:
    check_results(augmented, "augmented")


@pytest.mark.parametrize("architecture", ["criteria", "evidence"])
def test_trials_read_the_banks_that_their_masks_name(augmented: Study, architecture: str) -> None:
    names = {1: "random_deletion", 4: "aeda"}
    seen = set()
    for trial in trials(augmented, architecture):
        parameters, banks = trial["parameters"], trial["digests"].get("augmentation", {})
        policy = parameters["augmentation"]
        seen.add(policy)
        if policy == "none":
            assert banks == {}
            assert trial["augmented"] == {}
            continue
        expected = {
            "simple": [f"original/{names[parameters.get('simple_mask', 1)]}/level_1"],
            "textattack": ["original/word_deletion/level_1"],
            "simple_then_textattack": ["simple/word_deletion/level_1"],
        }
        expected["one_of"] = expected["simple"] + expected["textattack"]
        assert list(banks) == list(trial["augmented"]) == [architecture]
        assert sorted(banks[architecture]) == sorted(expected[policy])
        assert trial["augmented"][architecture] > 0
    assert {"none"} < seen


def test_the_report_has_counts_by_method_and_reason_and_no_text(augmented: Study) -> None:
    results = augmented.folder / "results"
    summary = read_json(results / "augmentation" / "summary.json")
    assert set(summary["families"]) == {"simple", "textattack"}
    assert {bank["source"] for bank in summary["banks"]} == {"original", "simple"}
    for bank in summary["banks"]:
        assert bank["made"] + sum(bank["rejected"].values()) == bank["rows"] > 0
    assert (results / "reports" / "augmentation.svg").is_file()
    augmented.run("--report", "results/report.html")
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Training data" in page
    assert "variants made and rejected" in page


def test_the_evaluation_reads_no_bank_and_names_the_augmentation(augmented: Study) -> None:
    results = augmented.folder / "results"
    for architecture in ("criteria", "evidence"):
        read = json.dumps(read_json(results / "provenance" / architecture / "evaluate.json")["arguments"])
        assert "tokens/small" in read
        assert "augment" not in read
        evaluation = read_json(results / architecture / "evaluation" / "evaluation.json")
        card = (results / "models" / architecture / "README.md").read_text(encoding="utf-8")
        uses = evaluation["configuration"]["parameters"]["augmentation"] != "none"
        assert ("Trained with augmentation" in card) == uses


def test_nothing_is_left_to_do(augmented: Study) -> None:
    assert augmented.planned() == {}


def test_another_stage_2_makes_no_trial_of_stage_1_again(augmented: Study, tmp_path: Path) -> None:
    raw = {**augmented.settings, "overrides": dict(augmented.settings["overrides"])}
    raw["overrides"]["search.stages.stage2.epochs"] = 3
    planned = Study(augmented.repository, augmented.folder, raw).planned()
    assert planned["run_trials"] == 2, "stage 2 of both architectures"
    assert not {"augment_examples", "augment_with_textattack", "tokenize_augmented", "define_space"} & set(planned)
