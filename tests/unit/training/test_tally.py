"""Losses and scores of the training passes."""

import pytest
import torch

from evidence_hpo.training.batches import DeviceBatch
from evidence_hpo.training.losses import ClassWeights, class_weights
from evidence_hpo.training.tally import TrainingTally, named_losses


def _batch(labels: list[int]) -> DeviceBatch:
    nothing = torch.zeros(len(labels), dtype=torch.int64)
    inputs = None
    return DeviceBatch(inputs, torch.tensor(labels), nothing, nothing, nothing, nothing)  # type: ignore[arg-type]


def test_windows_count_alike_however_they_fell_into_batches() -> None:
    tally = TrainingTally(["criteria", "evidence"], torch.device("cpu"))
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]])
    tally.add("criteria", torch.tensor([1.0, 2.0, 3.0]), logits, _batch([1, 1, 0]))
    tally.add("criteria", torch.tensor([8.0]), logits[1:2], _batch([0]))
    tally.add("evidence", torch.tensor([0.5, 1.5]), torch.zeros(2, 4, 2), _batch([0, 0]))
    found = tally.metrics({"criteria": 2.0, "evidence": 1.0})
    assert (found["criteria_loss"], found["evidence_loss"], found["loss"]) == (3.5, 1.0, 8.0)
    assert found["accuracy"] == 0.5  # one hit of each class, one miss of each class
    assert found["macro_f1"] == found["weighted_f1"] == 0.5


def test_a_single_task_has_one_loss() -> None:
    assert named_losses({"evidence": 0.25}, {"evidence": 1.0}) == {"loss": 0.25}
    tally = TrainingTally(["evidence"], torch.device("cpu"))
    tally.add("evidence", torch.tensor([0.5]), torch.zeros(1, 4, 2), _batch([0]))
    assert tally.metrics({"evidence": 1.0}) == {"loss": 0.5}


@pytest.mark.parametrize("task", ["criteria", "evidence"])
def test_weights_multiply_and_balanced_classes_count_alike(inputs, make_spec, task) -> None:  # type: ignore[no-untyped-def]
    from evidence_hpo.training.batches import training_data

    values = {"loss": "focal", "focal_alpha": 0.25, "positive_weight": 3.0, "null_weight": 0.5}
    parameters = make_spec(task, values).parameters
    data = training_data(inputs["tiny"].train[task], parameters, 1.0)
    plain = class_weights(task, data, parameters)
    expected = ClassWeights(1.5, 1.5) if task == "criteria" else ClassWeights(0.75, 0.5)
    assert plain == expected
    balanced = class_weights(task, data, {**parameters, "class_weights": "balanced"})
    positive = int((data.features.label == 1).sum() if task == "criteria" else (data.features.start > 0).sum())
    negative = len(data.features) - positive
    assert 0 < positive < negative or 0 < negative < positive
    ratio = (balanced.positive / plain.positive) / (balanced.negative / plain.negative)
    assert ratio == pytest.approx(negative / positive)
    assert balanced.positive / plain.positive * positive + balanced.negative / plain.negative * negative == (
        pytest.approx(len(data.features))
    )
