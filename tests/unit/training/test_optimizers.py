from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.models.architectures import build_model, encoder_count
from evidence_hpo.training.optimizers import build_optimizer, encoder_depth, freeze_layers, parameter_groups

PARAMETERS: dict[str, Any] = {
    "pooling": "cls",
    "head_layers": 0,
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "head_learning_rate_factor": 10.0,
    "layer_decay": 0.5,
    "weight_decay": 0.1,
    "adam_beta1": 0.8,
    "adam_beta2": 0.9,
    "adam_epsilon": 1e-7,
    "adafactor_decay": -0.7,
    "lion_beta1": 0.7,
    "lion_beta2": 0.6,
}


def _model(architecture: str = "criteria") -> torch.nn.Module:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8)
    encoders = [BertModel(config, add_pooling_layer=False) for _ in range(encoder_count(architecture))]
    return build_model(architecture, PARAMETERS, encoders)


def _settings(model: torch.nn.Module) -> dict[str, tuple[float, float]]:
    group_of = {id(p): g for g in parameter_groups(model, PARAMETERS) for p in g["params"]}
    return {
        name: (group_of[id(p)]["peak"], group_of[id(p)]["weight_decay"])
        for name, p in model.named_parameters()
        if id(p) in group_of
    }


def test_groups_scale_the_rate_by_depth_and_spare_vectors_from_decay() -> None:
    found = _settings(_model())
    dense = "encoder.encoder.layer.{}.output.dense.{}"
    assert found[dense.format(2, "weight")] == pytest.approx((1e-3, 0.1))
    assert found[dense.format(1, "weight")] == pytest.approx((5e-4, 0.1))
    assert found[dense.format(0, "bias")] == pytest.approx((2.5e-4, 0.0))
    assert found["encoder.embeddings.word_embeddings.weight"] == pytest.approx((1.25e-4, 0.1))
    assert found["encoder.embeddings.LayerNorm.weight"] == pytest.approx((1.25e-4, 0.0))
    assert found["criteria_head.1.weight"] == pytest.approx((1e-2, 0.1))


@pytest.mark.parametrize("architecture", ["criteria", "joint"])
def test_frozen_layers_are_counted_from_the_embeddings(architecture: str) -> None:
    model = _model(architecture)
    freeze_layers(model, 2)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any("embeddings" in name or ".layer.0." in name or ".layer.1." in name for name in trained)
    assert any(".layer.2." in name for name in trained)
    assert any(name.startswith("criteria_head") for name in trained)
    assert set(_settings(model)) == trained
    freeze_layers(model, 0)
    assert all(p.requires_grad for p in model.parameters())


def test_more_frozen_layers_than_there_are_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="frozen_layers: 4 is more than the 3 layers"):
        freeze_layers(_model(), 4)


def test_debertas_relative_positions_lie_at_the_embeddings() -> None:
    config = DebertaV2Config(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        relative_attention=True,
        position_buckets=4,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
    )
    names = [name for name, _ in DebertaV2Model(config).named_parameters()]
    depth = {name: encoder_depth(name, 2) for name in names}
    assert depth["encoder.rel_embeddings.weight"] == depth["encoder.LayerNorm.weight"] == 0
    assert depth["encoder.layer.1.attention.self.query_proj.weight"] == 2
    assert set(depth.values()) == {0, 1, 2}


def test_the_optimisers_take_their_settings() -> None:
    adamw = build_optimizer(_model(), PARAMETERS)
    assert isinstance(adamw, torch.optim.AdamW)
    assert all(group["betas"] == (0.8, 0.9) and group["fused"] for group in adamw.param_groups)
    adafactor = build_optimizer(_model(), {**PARAMETERS, "optimizer": "adafactor"})
    assert isinstance(adafactor, torch.optim.Adafactor)
    assert {group["weight_decay"] for group in adafactor.param_groups} == {0.0, 0.1}
    assert all(group["beta2_decay"] == -0.7 for group in adafactor.param_groups)
    lion = build_optimizer(_model(), {**PARAMETERS, "optimizer": "lion"})
    assert all(group["betas"] == (0.7, 0.6) for group in lion.param_groups)
    assert {group["weight_decay"] for group in lion.param_groups} == {0.0, 0.1}


def test_lion_takes_the_step_of_its_paper() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    model = torch.nn.Module()
    model.head = torch.nn.ParameterList([torch.nn.Parameter(weight.detach().reshape(3, 1))])
    optimizer = build_optimizer(model, {**PARAMETERS, "optimizer": "lion", "head_learning_rate_factor": 1.0})
    (parameter,) = model.head
    expected, momentum = parameter.detach().clone(), torch.zeros(3, 1)
    for gradient in (torch.tensor([[0.3], [-0.1], [0.2]]), torch.tensor([[-4.0], [0.05], [0.1]])):
        parameter.grad = gradient.clone()
        optimizer.step()
        update = (0.7 * momentum + 0.3 * gradient).sign()  # Algorithm 2 of Chen et al. 2023
        expected = expected - 1e-3 * (update + 0.1 * expected)
        momentum = 0.6 * momentum + 0.4 * gradient
    torch.testing.assert_close(parameter.detach(), expected)


def test_moments_in_8_bits_need_a_gpu_and_bitsandbytes() -> None:
    with pytest.raises(ConfigurationError, match="optimizer: adamw_8bit needs a CUDA GPU and the package bitsandbytes"):
        build_optimizer(_model(), {**PARAMETERS, "optimizer": "adamw_8bit"})
