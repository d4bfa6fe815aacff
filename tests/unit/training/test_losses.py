from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from evidence_hpo.training.losses import ClassWeights, criteria_losses, evidence_losses, label_loss

LOSSES: list[dict[str, Any]] = [
    {"loss": "cross_entropy"},
    {"loss": "label_smoothing", "label_smoothing": 0.2},
    {"loss": "focal", "focal_gamma": 2.0},
    {"loss": "bce"},
]


@given(seed=st.integers(0, 1000), labels=st.integers(2, 6), smoothing=st.floats(0.0, 0.5))
def test_cross_entropy_and_smoothing_are_torchs(seed: int, labels: int, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, labels, generator=generator)
    targets = torch.randint(labels, (4,), generator=generator)
    parameters = {"loss": "label_smoothing", "label_smoothing": smoothing}
    expected = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(label_loss(logits, targets, parameters), expected)
    plain = functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(label_loss(logits, targets, {"loss": "cross_entropy"}), plain)
    torch.testing.assert_close(label_loss(logits, targets, {"loss": "focal", "focal_gamma": 0.0}), plain)


@pytest.mark.parametrize("parameters", LOSSES, ids=lambda p: p["loss"])
def test_labels_that_cannot_be_chosen_change_nothing(parameters: dict[str, Any]) -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 3, 1])
    wide = torch.cat([logits, torch.full((3, 2), float("-inf"))], dim=1).requires_grad_()
    loss = label_loss(wide, targets, parameters)
    torch.testing.assert_close(loss, label_loss(logits, targets, parameters))
    loss.sum().backward()
    assert wide.grad is not None
    assert torch.isfinite(wide.grad).all()
    assert (wide.grad[:, 4:] == 0).all()


def test_bce_is_the_sum_of_torchs_binary_cross_entropies() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    targets = torch.tensor([0, 3, 1, 2, 2])
    each = functional.binary_cross_entropy_with_logits(logits, functional.one_hot(targets, 4).float(), reduction="none")
    torch.testing.assert_close(label_loss(logits, targets, {"loss": "bce"}), each.sum(dim=1))


def test_focal_loss_forgives_easy_examples() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    probability = logits.softmax(-1)[0, 1]
    loss = label_loss(logits, torch.tensor([1]), {"loss": "focal", "focal_gamma": 2.0})
    torch.testing.assert_close(loss[0], -((1 - probability) ** 2) * probability.log())


def test_focal_gradient_is_finite_where_the_model_is_certain() -> None:
    logits = torch.tensor([[0.0, 500.0]], requires_grad=True)
    label_loss(logits, torch.tensor([1]), {"loss": "focal", "focal_gamma": 0.5}).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_weight_of_positives_multiplies_their_losses_alone() -> None:
    logits = torch.tensor([[0.3, -0.2], [1.0, 0.5]])
    each = functional.cross_entropy(logits, torch.tensor([1, 0]), reduction="none")
    losses = criteria_losses(logits, torch.tensor([1, 0]), {"loss": "cross_entropy"}, ClassWeights(positive=3.0))
    torch.testing.assert_close(losses, each * torch.tensor([3.0, 1.0]))


def test_span_loss_is_the_mean_of_start_and_end_with_weighted_nulls() -> None:
    logits = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(1))
    starts, ends = torch.tensor([0, 2]), torch.tensor([0, 4])
    start = functional.cross_entropy(logits[..., 0], starts, reduction="none")
    end = functional.cross_entropy(logits[..., 1], ends, reduction="none")
    losses = evidence_losses(logits, starts, ends, {"loss": "cross_entropy"}, ClassWeights(negative=0.25))
    torch.testing.assert_close(losses, (start + end) / 2 * torch.tensor([0.25, 1.0]))
