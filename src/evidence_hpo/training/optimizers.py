"""Parameter groups (decay, head factor, layer decay, frozen layers) and the optimisers."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from evidence_hpo.errors import ConfigurationError

__all__ = ["build_optimizer", "check_optimizer", "encoder_depth", "freeze_layers", "parameter_groups"]

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
    """Return the optimiser over the trained parameters of ``model``, which lies on its device already.

    AdamW: Loshchilov and Hutter 2019, fused; with moments in 8 bits: Dettmers et al. 2022. Adafactor: Shazeer and Stern
    2018. Lion: Chen et al. 2023.

    Raises:
        ConfigurationError: `adamw_8bit` without a GPU or without bitsandbytes.
    """
    groups = parameter_groups(model, parameters)
    match parameters["optimizer"]:
        case "adafactor":
            return torch.optim.Adafactor(groups, beta2_decay=parameters["adafactor_decay"])
        case "lion":
            from pytorch_optimizer import Lion  # its import takes as long as torch's

            return Lion(groups, betas=(parameters["lion_beta1"], parameters["lion_beta2"]))
        case name:
            betas = (parameters["adam_beta1"], parameters["adam_beta2"])
            epsilon: float = parameters["adam_epsilon"]
            if name == "adamw":
                return torch.optim.AdamW(groups, betas=betas, eps=epsilon, fused=True)
            check_optimizer(name)
            from bitsandbytes.optim import AdamW8bit

            optimizer: torch.optim.Optimizer = AdamW8bit(groups, betas=betas, eps=epsilon)
            return optimizer


def check_optimizer(name: str) -> None:
    """Fail where the machine lacks what an optimiser needs.

    Raises:
        ConfigurationError: `adamw_8bit` without a GPU or without bitsandbytes.
    """
    if name != "adamw_8bit":
        return
    missing = [] if torch.cuda.is_available() else ["a CUDA GPU"]
    if importlib.util.find_spec("bitsandbytes") is None:
        missing.append("the package bitsandbytes (pip install bitsandbytes)")
    if missing:
        raise ConfigurationError(f"optimizer: adamw_8bit needs {' and '.join(missing)}; use adamw")


def _encoders(model: nn.Module) -> dict[str, nn.Module]:
    return {name: child for name, child in model.named_children() if name.endswith("encoder")}


def _layers(encoder: nn.Module) -> int:
    layers: Any = encoder.config.num_hidden_layers  # type: ignore[union-attr]
    return int(layers)
