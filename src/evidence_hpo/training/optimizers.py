"""Parameter groups (decay, head factor, layer decay, frozen layers) and the optimisers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from evidence_hpo.errors import ConfigurationError

__all__ = ["build_optimizer", "encoder_depth", "freeze_layers", "parameter_groups"]

_LAYER = re.compile(r"\b(?:layer|layers)\.(\d+)\.")
# DeBERTa normalises its relative-position embeddings with `encoder.LayerNorm`.
_EMBEDDING = re.compile(r"embed|^encoder\.LayerNorm\.")


def encoder_depth(name: str, layers: int) -> int:
    """Return how far from the embeddings (0) an encoder's parameter lies; ``layers`` is the last layer's depth."""
    match = _LAYER.search(name)
    if match:
        return int(match.group(1)) + 1
    return 0 if _EMBEDDING.search(name) else layers


def freeze_layers(model: nn.Module, count: int) -> None:
    """Stop training the embeddings and the first ``count`` layers of every encoder of ``model``; 0 freezes nothing.

    Raises:
        ConfigurationError: The encoder has fewer layers.
    """
    for encoder in _encoders(model).values():
        layers = _layers(encoder)
        if count > layers:
            raise ConfigurationError(f"frozen_layers: {count} is more than the {layers} layers of the backbone")
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(count == 0 or encoder_depth(name, layers) > count)


def parameter_groups(model: nn.Module, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the optimiser's groups; ``peak`` is a group's learning rate at factor 1.

    The encoder's last layer learns with `learning_rate`, each layer below it with `layer_decay` times the rate of the
    one above (Howard and Ruder 2018), everything that is not an encoder with `head_learning_rate_factor` times
    `learning_rate`. Biases and normalisation weights (all vectors) do not decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    encoders = _encoders(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        prefix, _, inner = name.partition(".")
        factor = parameters["head_learning_rate_factor"]
        if prefix in encoders:
            layers = _layers(encoders[prefix])
            factor = parameters["layer_decay"] ** (layers - encoder_depth(inner, layers))
        decay = parameters["weight_decay"] if parameter.ndim > 1 else 0.0
        groups.setdefault((parameters["learning_rate"] * factor, decay), []).append(parameter)
    return [
        {"params": members, "lr": peak, "peak": peak, "weight_decay": decay}
        for (peak, decay), members in groups.items()
    ]


def build_optimizer(model: nn.Module, parameters: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return AdamW (fused) or Adafactor over the trained parameters of ``model``."""
    groups = parameter_groups(model, parameters)
    if parameters["optimizer"] == "adafactor":
        return torch.optim.Adafactor(groups)
    return torch.optim.AdamW(groups, betas=(parameters["adam_beta1"], parameters["adam_beta2"]), fused=True)


def _encoders(model: nn.Module) -> dict[str, nn.Module]:
    return {name: child for name, child in model.named_children() if name.endswith("encoder")}


def _layers(encoder: nn.Module) -> int:
    layers: Any = encoder.config.num_hidden_layers  # type: ignore[union-attr]
    return int(layers)
