"""Every parameter of a run acts on the run: changed alone, it changes the trained weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.training.training_toys import Banks
from torch import Tensor

from evidence_hpo.config.parameters import ARCHITECTURES, TrialParameters, parameter_conditions, parameter_names
from evidence_hpo.config.policies import POLICIES
from evidence_hpo.files import canonical_json
from evidence_hpo.training.run import RunInputs, RunSpec, run

Weights = dict[str, Tensor]
Trained = Callable[[str, dict[str, Any]], Weights]

CHANGES: dict[str, tuple[Any, Any]] = {
    "backbone": ("tiny", "other"),
    "max_length": (32, 24),
    "window_overlap": (0.25, 0.5),
    "pooling": ("cls", "mean"),
    "head_layers": (1, 2),
    "head_hidden": (16, 24),
    "head_activation": ("gelu", "relu"),
    "dropout": (0.1, 0.3),
    "backbone_dropout": (0.1, 0.3),
    "optimizer": ("adamw", "adafactor"),
    "learning_rate": (1e-3, 1.1e-3),
    "head_learning_rate_factor": (1.0, 1.1),
    "layer_decay": (1.0, 0.9),
    "frozen_layers": (0, 1),
    "weight_decay": (0.01, 0.02),
    "adam_beta1": (0.9, 0.8),
    "adam_beta2": (0.999, 0.99),
    "adam_epsilon": (1e-8, 1e-4),
    "adafactor_decay": (-0.8, -0.6),
    "lion_beta1": (0.9, 0.5),
    "lion_beta2": (0.99, 0.6),
    "schedule": ("linear", "cosine"),
    "schedule_cycles": (2, 3),
    "schedule_power": (2.0, 1.5),
    "warmup_ratio": (0.0, 0.5),
    "batch_size": (8, 16),
    "gradient_accumulation_steps": ("auto", 4),
    "max_grad_norm": (1.0, 0.1),
    "precision": ("fp32", "bf16"),
    "loss": ("cross_entropy", "focal"),
    "label_smoothing": (0.1, 0.2),
    "focal_gamma": (2.0, 1.0),
    "focal_alpha": (0.5, 0.25),
    "class_weights": ("none", "balanced"),
    "positive_weight": (1.0, 2.0),
    "null_weight": (1.0, 0.5),
    "null_window_share": (1.0, 0.6),
    "task_weight_criteria": (1.0, 0.5),
    "task_weight_evidence": (1.0, 0.5),
    "augmentation": ("none", "simple"),
    "simple_mask": (3, 4),
    "textattack_mask": (1, 6),
    "simple_strength": (1, 2),
    "textattack_strength": (1, 0),
    "augmentation_variants": (1, 2),
    "augmentation_probability": (1.0, 0.5),
    "augmentation_mode": ("add", "replace"),
    "augmentation_nulls": (False, True),
}
"""A base value, in which all other parameters stay, and another one."""

CHOICES = {
    "pooling": ("cls", "mean", "max", "attention"),
    "head_activation": ("relu", "gelu", "tanh", "silu"),
    "optimizer": ("adamw", "adafactor", "lion"),
    "schedule": ("linear", "cosine", "cosine_with_restarts", "polynomial", "one_cycle", "constant"),
    "loss": ("cross_entropy", "label_smoothing", "focal", "bce"),
    "augmentation": tuple(POLICIES),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, banks: Banks, make_spec: Callable[..., RunSpec]) -> Trained:
    """Return a function that gives the weights after one short epoch; equal runs are trained once."""
    root: Path = tmp_path_factory.mktemp("parameters")
    known: dict[str, Weights] = {}

    def train(architecture: str, values: dict[str, Any]) -> Weights:
        base = {name: before for name, (before, _) in CHANGES.items()}
        spec = make_spec(architecture, {**base, **values}, epochs=1, data_fraction=0.7)
        key = canonical_json(spec.to_json())
        if key not in known:
            data = banks.given({**base, **values}["backbone"], spec.parameters)
            run(spec, data, root / "work", model=root / "model", report=lambda _: None)
            loaded = load_file(root / "model" / "model.safetensors")
            known[key] = {name: tensor.clone() for name, tensor in loaded.items()}
        return known[key]

    return train


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and torch.equal(one[name], other[name]) for name in one
    )


def conditions(name: str) -> dict[str, Any]:
    return {other: allowed[0] for other, allowed in parameter_conditions(name).items()}


def test_every_parameter_has_a_row() -> None:
    assert set(CHANGES) == set(TrialParameters.model_fields)
    for name, (before, after) in CHANGES.items():
        assert before != after, name


@pytest.mark.parametrize(
    ("architecture", "name"),
    [(architecture, name) for architecture in ARCHITECTURES for name in parameter_names(architecture)],
)
def test_it_changes_the_trained_weights(trained: Trained, architecture: str, name: str) -> None:
    before, after = CHANGES[name]
    needed = conditions(name)
    base = trained(architecture, {**needed, name: before})
    assert not same(base, trained(architecture, {**needed, name: after}))


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_another_run(trained: Trained, name: str) -> None:
    runs = [trained("share", {name: choice}) for choice in CHOICES[name]]
    for number, one in enumerate(runs):
        assert not any(same(one, other) for other in runs[number + 1 :])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_else_changes_them(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Callable[..., RunSpec], architecture: str
) -> None:
    weights = []
    for number in range(2):
        model = tmp_path / f"model{number}"
        run(make_spec(architecture, epochs=1), inputs["tiny"], tmp_path / "w", model=model, report=lambda _: None)
        weights.append(load_file(model / "model.safetensors"))
    assert same(*weights)
