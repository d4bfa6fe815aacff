"""The card and the description of an exported model, from a real evaluation of toy predictions."""

from __future__ import annotations

from typing import Any

import pytest
from evaluation_toys import DIGEST, evaluation
from huggingface_hub import ModelCard

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.exports import data_description, export_description
from evidence_hpo.evaluation.model_card import model_card
from evidence_hpo.evaluation.usage import usage
from evidence_hpo.schemas import check_artefact

CRITERIA = [{"id": one, "name": f"Name of {one}", "text": f"Wording of {one}."} for one in "ABC"]
HUB: dict[str, Any] = {"kind": "hub", "dataset": "someone/corpus", "revision": "abc123", "posts": "posts"}
BACKBONE = {"name": "base", "source": "hub", "digest": DIGEST, "model_type": "bert", "layers": 12, "hidden": 768}
BACKBONE |= {"model": "google-bert/bert-base-uncased", "revision": "main", "commit": "c0ffee", "parameters": 110}


def described(
    scores: dict[str, Any],
    *,
    seed: int = 1,
    name: str | None = None,
    source: dict[str, Any] | None = None,
    refit: bool = False,
) -> dict[str, Any]:
    record = {
        "role": "refit" if refit else "final",
        "seed_index": seed,
        "seed": 100 + seed,
        "parameters": scores["configuration"]["parameters"],
        "objective": "macro_f1",
        "value": None if refit else 0.8,
        "best_epoch": None if refit else 3.0,
        "epochs": 3,
        "refit_epochs": 2 if refit else None,
        "precision": "fp32",
        "versions": {"torch": "2.13"},
        "key": "a" * 64,
        "digests": {"backbone": DIGEST, "code": "b" * 64},
        "checkpoint": {"path": "model", "sha256": "c" * 64},
    }
    splits = {
        "digests": dict.fromkeys(("train", "validation", "test"), "d" * 64),
        "counts": {"train": {"posts": 30}, "validation": {"posts": 5}, "test": {"posts": 5}},
    }
    corpus = {"source": source or {"kind": "sample", "posts": 40, "seed": 7}, "digests": {"posts": "e" * 64}}
    data = data_description(corpus, splits, {"train": {"criteria": "f" * 64}}, "sentence")
    content = export_description(
        record, scores, [BACKBONE], CRITERIA, data, name, {"model.safetensors": DIGEST}, max_answer_tokens=64
    )
    check_artefact("export", content, "toy")
    return content


def card(scores: dict[str, Any], **changes: Any) -> str:
    return model_card(described(scores, **changes), scores, seconds=61.7, package_version="1.2.3")


def test_the_level_of_the_intervals_is_not_rounded() -> None:
    shown = card({**evaluation("criteria", skill=1.0), "confidence": 0.995})
    assert "Intervals (99.5 %) are bootstraps" in shown
    assert "99.5 % interval" in shown


def test_front_matter_gives_the_hub_this_models_scores_with_their_intervals() -> None:
    scores = evaluation("criteria", skill=1.0)
    data = ModelCard(card(scores, name="BertForSequenceClassification", source=HUB)).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-classification", "unknown")
    assert (data.base_model, data.datasets) == ("google-bert/bert-base-uncased", ["someone/corpus"])
    task = scores["tasks"]["criteria"]
    found = {one.metric_name.split(" ")[0]: one for one in data.eval_results}
    assert set(found) == set(task["metrics"]["global"])
    macro = task["metrics"]["global"]["macro_f1"]
    assert found["macro_f1"].metric_value == macro["per_seed"][1] != macro["mean"]
    interval = f"95 % interval {macro['low']:.3f} to {macro['high']:.3f}"
    assert found["macro_f1"].metric_name == f"macro_f1 (mean of 2 seeds {macro['mean']:.3f}, {interval})"
    assert found["macro_f1"].metric_type == "f1"
    assert {(one.dataset_type, one.dataset_revision, one.dataset_split) for one in data.eval_results} == {
        ("someone/corpus", "abc123", "test")
    }


def test_a_model_that_this_package_loads_promises_the_hub_no_pipeline() -> None:
    data = ModelCard(card(evaluation("share"))).data
    assert (data.library_name, data.pipeline_tag, data.datasets) == (None, None, None)
    assert {one.task_type for one in data.eval_results} == {"text-classification", "question-answering"}


@pytest.mark.parametrize(("skill", "above"), [(6.0, True), (0.0, False)])
def test_the_card_says_first_whether_the_model_clears_its_floors(skill: float, above: bool) -> None:
    text = card(evaluation("criteria", skill=skill)).split("\n## ")[0]
    assert ("> **criteria** clears every floor" in text) == above
    assert ("> **Warning: criteria** does NOT clear every floor" in text) != above


def test_scores_stand_beside_floors_and_come_from_the_exported_seed() -> None:
    scores = evaluation("share")
    for seed in (0, 1):
        text = card(scores, seed=seed)
        for task in scores["tasks"].values():
            metric = task["headline"]["metric"]
            floor = task["floors"][0]
            found, gap = task["metrics"]["global"][metric], floor["differences"][metric]
            row = next(line for line in text.splitlines() if line.startswith(f"| `{metric}` |"))
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert cells[1] == f"{found['per_seed'][seed]:.3f}"
            assert cells[2].startswith(f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f}")
            assert cells[3] == f"{floor['metrics']['global'][metric]['mean']:.3f}"
            assert cells[4].startswith(f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})")


def test_what_identifies_data_encoder_and_run_is_in_the_card() -> None:
    scores = evaluation("criteria")
    text = card(scores, source=HUB)
    for digest in ("a", "b", "c", "d", "e", "f"):
        assert f"`{digest * 64}`" in text
    assert "commit `c0ffee`" in text
    assert "took 62 s" in text
    assert "`learning_rate` | `0.001`" in text
    assert "Not a diagnostic instrument" in text
    assert "evidence-hpo 1.2.3" in text


def test_synthetic_data_is_said_to_be_and_only_that() -> None:
    scores = evaluation("criteria")
    assert "Synthetic data" in card(scores)
    own = card(scores, source={"kind": "files", "posts": "/home/someone/posts.csv", "annotations": "/home/a.csv"})
    assert "Synthetic data" not in own
    assert "/home" not in own


@pytest.mark.parametrize("strategy", ["none", "global", "per_criterion"])
def test_decision_thresholds_are_those_of_the_seed_and_of_the_headline(strategy: str) -> None:
    scores = evaluation("share")
    for task in scores["tasks"].values():
        task["headline"]["thresholds"] = strategy
    found = described(scores, seed=1)["thresholds"]
    criteria, evidence = (scores["tasks"][task]["thresholds"]["per_seed"][1] for task in ("criteria", "evidence"))
    expected = {
        "none": dict.fromkeys("ABC", 0.5),
        "global": dict.fromkeys("ABC", criteria["global"]),
        "per_criterion": {name: criteria["per_criterion"].get(name, criteria["global"]) for name in "ABC"},
    }
    assert found["criteria"]["decision"] == expected[strategy]
    assert set(found["evidence"]["decision"].values()) == {0.0 if strategy == "none" else evidence["global"]}
    assert len({str(one) for one in expected.values()}) == 3, "the strategies would be told apart by nothing"


def test_an_evaluation_of_another_configuration_or_encoder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = evaluation("criteria")
    with pytest.raises(DataError, match="is not of the final run with seed 7"):
        described(scores, seed=7)
    with pytest.raises(DataError, match="is not of the refit run with seed 0"):
        described(scores, seed=0, refit=True)
    monkeypatch.setitem(BACKBONE, "digest", "9" * 64)
    with pytest.raises(DataError, match="encoder of the final run with seed 1 is not among the manifests"):
        described(scores)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("criteria", "BertForSequenceClassification"), ("evidence", "BertForQuestionAnswering"), ("share", None)],
)
def test_program_names_this_package_only_where_it_is_needed(architecture: str, name: str | None) -> None:
    program = usage(described(evaluation(architecture), name=name))
    assert ("import load_exported" in program) == (name is None)
    for task, sign in (("criteria", "probability >="), ("evidence", "answered = best >")):
        assert (sign in program) == (architecture in (task, "share"))


def test_the_card_of_a_refit_says_what_it_was_trained_on_and_which_thresholds_it_uses() -> None:
    scores = evaluation("share", refits=2)
    text = card(scores, seed=0, refit=True)
    start = text.split("\n## ")[0]
    assert "It is a **refit**: trained on the training and validation posts together" in start
    for task in ("criteria", "evidence"):
        assert start.count(f"> **{task}** clears every floor") == 2, "its own verdict and that of the final models"
    assert start.count("the final models, difference") == 2
    assert "was trained on the splits *train* and *validation* together" in text
    assert "mean of the thresholds that were tuned on the validation split for the final models" in text
    assert "ended after epoch 2 of a schedule of 3" in text
    assert "none of its own, as it was trained on that split (final models: 0.8000, 0.8000)" in text
    assert "results/provenance/share/retrain/refit/seed_0.json" in text
    assert "refit" not in card(scores, seed=0), "a final model's card knows nothing of refits"


def test_the_scores_of_a_refits_card_are_its_own_beside_those_of_the_final_models() -> None:
    scores = evaluation("share", refits=2)
    data = ModelCard(card(scores, seed=1, refit=True)).data
    given = {(one.task_name, one.metric_name.split(" ")[0]): one for one in data.eval_results}
    rows = [line for line in card(scores, seed=1, refit=True).splitlines() if line.startswith("| `")]
    for name, task in scores["refit"]["tasks"].items():
        for metric, found in task["metrics"]["global"].items():
            assert given[name, metric].metric_value == found["per_seed"][1]
            assert f"mean of 2 seeds {found['mean']:.3f}" in given[name, metric].metric_name
            cells = next([cell.strip() for cell in row.strip("|").split("|")] for row in rows if f"`{metric}`" in row)
            final, gap = scores["tasks"][name]["metrics"]["global"][metric], task["differences"][metric]
            assert cells[1] == f"{found['per_seed'][1]:.3f}"
            assert cells[2].startswith(f"{final['mean']:.3f} (")
            assert cells[3].startswith(f"{gap['mean']:+.3f} (")


def test_decision_thresholds_of_a_refit_are_the_mean_of_the_final_models() -> None:
    scores = evaluation("share", refits=1)
    for task in scores["tasks"].values():
        task["headline"]["thresholds"] = "per_criterion" if "per_criterion" in task["metrics"] else "global"
    found = described(scores, seed=0, refit=True)
    assert found["trained_on"] == ["train", "validation"]
    assert (found["validation"]["value"], found["run"]["refit_epochs"]) == (None, 2)
    criteria, evidence = (scores["tasks"][task]["thresholds"]["per_seed"] for task in ("criteria", "evidence"))
    for name, value in found["thresholds"]["criteria"]["decision"].items():
        assert value == pytest.approx(sum(one["per_criterion"][name] for one in criteria) / 2)
    mean = sum(one["global"] for one in evidence) / 2
    assert list(found["thresholds"]["evidence"]["decision"].values()) == pytest.approx([mean] * 3)
    assert described(scores, seed=0)["trained_on"] == ["train"]


def test_a_collapsed_refit_is_warned_of_in_its_card_alone() -> None:
    scores = evaluation("criteria", refits=1)
    warning = {"code": "collapsed", "task": "criteria", "message": "criteria: the refit of seed 0 has collapsed."}
    scores["refit"]["warnings"].append(warning)
    assert f"> **Warning.** {warning['message']}" in card(scores, seed=0, refit=True)
    assert warning["message"] not in card(scores, seed=0)
