"""Both naming schemes, as the documents write them."""

from __future__ import annotations

import pytest

from evidence_hpo.tracking.names import metric_names, run_parameters, step_of

S2 = {
    "criteria": {
        "train": ("loss", "accuracy"),
        "val": ("loss", "accuracy", "precision", "recall", "f1", "auc"),
    },
    "evidence": {
        "train": ("loss",),
        "val": ("exact_match", "has_answer", "char_f1", "char_precision", "char_recall"),
    },
}
GROUP = {"criteria": "criteria_matcher", "evidence": "evidence_binder"}
METRICS = {
    "criteria": ("accuracy", "precision", "recall", "f1", "macro_f1", "weighted_f1", "macro_recall", "roc_auc"),
    "evidence": ("char_f1", "char_precision", "char_recall", "exact_match", "has_answer", "no_answer_accuracy"),
}


@pytest.mark.parametrize("architecture", ["criteria", "evidence", "share", "joint"])
def test_every_name_of_the_documents_is_written(architecture: str) -> None:
    tasks = [architecture] if architecture in GROUP else ["criteria", "evidence"]
    losses = ["loss"] if len(tasks) == 1 else ["loss", "criteria_loss", "evidence_loss"]
    train = [*losses, *(["accuracy", "macro_f1", "weighted_f1"] if "criteria" in tasks else [])]
    val = [*losses, *(name for task in tasks for name in METRICS[task])]
    written = [name for metric in train for name in metric_names(architecture, "train", metric)]
    written += [name for metric in val for name in metric_names(architecture, "metrics", metric)]
    assert len(written) == len(set(written)), "two metrics have one name"
    for task in tasks:
        for part, names in S2[task].items():
            assert {f"{part}/{GROUP[task]}/{name}" for name in names} <= set(written)
    assert {"train_loss", "val_loss"} <= set(written)
    if "criteria" in tasks:
        scores = ("accuracy", "macro_f1", "weighted_f1")
        assert {f"{part}_{name}" for part in ("train", "val") for name in scores} <= set(written)


def test_of_two_tasks_the_sum_of_the_losses_is_neither_ones_loss() -> None:
    assert metric_names("joint", "train", "loss") == ("train_loss",)
    assert metric_names("joint", "train", "criteria_loss") == ("train_criteria_loss", "train/criteria_matcher/loss")


def test_steps_are_epochs_or_thousandths() -> None:
    assert step_of(3.0, thousandths=False) == 3
    assert step_of(0.5, thousandths=True) == 500


def test_parameters_have_the_names_of_the_documents() -> None:
    run = {
        "parameters": {"learning_rate": 5e-5, "batch_size": 16, "task_weight_criteria": 1.0, "head_hidden": [64, 32]},
        "seed": 42,
        "architecture": "joint",
        "epochs": 10,
        "data_fraction": 1.0,
        "early_stopping_patience": 0,
        "objective": "f1",
        "runtime": {"tf32": True, "compile": "off"},
    }
    model, data = {"model_id": "m", "model_revision": ""}, {"dataset_id": "d", "dataset_revision": "r"}
    written = run_parameters(run, model, data)
    assert written["learning_rate"] == "5e-05"
    assert float(written["learning_rate"]) == 5e-5
    assert (written["max_epochs"], written["optimization_metric"], written["batch_size"]) == ("10", "val_f1", "16")
    assert {written[f"seed_{part}"] for part in ("python", "numpy", "torch")} == {"42"}
    assert (written["runtime.tf32"], written["task_weight_criteria"]) == ("true", "1.0")
    assert written["dataset_revision"] == "r"
    assert "model_revision" not in written
