"""Search spaces that a stage may name without an entry in `spaces`; an entry of the same name overrides them.

Each is the space of one of the programs that this pipeline replaces, with its ranges. What cannot act on an
architecture is left out there, and `space.json` says so.
"""

from __future__ import annotations

from typing import Any

__all__ = ["KNOWN_SPACES", "SPACE_MEANINGS"]

_LARGE_AND_SMALL_ENCODERS = [
    "bert_base",
    "bert_large",
    "roberta_base",
    "roberta_large",
    "deberta_v3_base",
    "deberta_v3_large",
    "electra_base",
    "electra_large",
    "xlm_roberta_base",
]

SPACE_MEANINGS = {
    "dual_agent": "five domain encoders and the weights of the two tasks (share and joint)",
    "classifier": "ten parameters of a post-criterion classifier: head, learning rate, batch, schedule",
    "multi_stage": "five parameters, for a search in a few dozen trials",
    "two_stage": "conditional: momentum terms by optimiser, cycles by schedule, terms by loss, batching, precision, "
    "augmentation by the simple family",
    "maximal": "nine encoders, four optimisers, five schedules, heads, losses, lengths, augmentation",
}

KNOWN_SPACES: dict[str, dict[str, dict[str, Any]]] = {
    "dual_agent": {
        "backbone": {"choices": ["mental_bert", "psychbert", "clinicalbert", "bert_base", "roberta_base"]},
        "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
        "batch_size": {"choices": [8, 16, 32]},
        "task_weight_criteria": {"low": 0.5, "high": 2.0},
        "task_weight_evidence": {"low": 0.5, "high": 2.0},
    },
    "classifier": {
        "head_layers": {"low": 0, "high": 3},
        "head_hidden": {"low": 64, "high": 1024, "log": True},
        "head_activation": {"choices": ["relu", "gelu", "tanh"]},
        "pooling": {"choices": ["cls", "mean", "max"]},
        "dropout": {"low": 0.0, "high": 0.5},
        "learning_rate": {"low": 1e-6, "high": 1e-4, "log": True},
        "batch_size": {"choices": [4, 8, 16, 32, 64]},
        "warmup_ratio": {"low": 0.0, "high": 0.3},
        "weight_decay": {"low": 0.0, "high": 0.1},
        "schedule": {"choices": ["linear", "cosine", "constant"]},
    },
    "multi_stage": {
        "learning_rate": {"low": 1e-6, "high": 5e-5, "log": True},
        "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
        "batch_size": {"choices": [8, 16, 32]},
        "warmup_ratio": {"low": 0.0, "high": 0.2},
        "dropout": {"low": 0.0, "high": 0.3},
    },
    "two_stage": {
        "learning_rate": {"low": 1e-6, "high": 1e-4, "log": True},
        "layer_decay": {"low": 0.7, "high": 1.0},
        "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
        "warmup_ratio": {"low": 0.0, "high": 0.3},
        "batch_size": {"choices": [4, 8, 16, 32]},
        "precision": {"choices": ["bf16", "fp16"]},
        "dropout": {"low": 0.0, "high": 0.5},
        "backbone_dropout": {"low": 0.0, "high": 0.3},
        "pooling": {"choices": ["cls", "mean", "max", "attention"]},
        "head_layers": {"low": 0, "high": 3},
        "head_hidden": {"low": 64, "high": 1024, "log": True},
        "head_activation": {"choices": ["relu", "gelu", "tanh"]},
        "optimizer": {"choices": ["adamw", "adafactor", "lion"]},
        "adam_beta1": {"low": 0.85, "high": 0.95},
        "adam_beta2": {"low": 0.98, "high": 0.9999},
        "adafactor_decay": {"low": -0.9, "high": -0.6},
        "lion_beta1": {"low": 0.85, "high": 0.95},
        "lion_beta2": {"low": 0.95, "high": 0.999},
        "schedule": {"choices": ["linear", "cosine", "cosine_with_restarts", "constant"]},
        "schedule_cycles": {"low": 1, "high": 4},
        "loss": {"choices": ["cross_entropy", "label_smoothing", "focal", "bce"]},
        "label_smoothing": {"low": 0.01, "high": 0.2},
        "focal_gamma": {"low": 1.0, "high": 5.0},
        "focal_alpha": {"low": 0.1, "high": 0.5},
        "positive_weight": {"low": 0.5, "high": 4.0, "log": True},
        "null_weight": {"low": 0.25, "high": 2.0, "log": True},
        "augmentation": {"choices": ["none", "simple"]},
        "simple_mask": {"choices": [7, 56, 127]},
        "simple_strength": {"low": 0, "high": 3},
        "augmentation_variants": {"low": 1, "high": 2},
        "augmentation_probability": {"low": 0.1, "high": 1.0},
    },
    "maximal": {
        "backbone": {"choices": _LARGE_AND_SMALL_ENCODERS},
        "max_length": {"choices": [128, 256, 512]},
        "pooling": {"choices": ["cls", "mean", "max", "attention"]},
        "head_layers": {"low": 1, "high": 4},
        "head_hidden": {"choices": [256, 384, 512, 768, 1024, 1536, 2048]},
        "head_activation": {"choices": ["gelu", "relu", "silu"]},
        "dropout": {"low": 0.0, "high": 0.5},
        "backbone_dropout": {"low": 0.0, "high": 0.3},
        "optimizer": {"choices": ["adamw", "adamw_8bit", "adafactor", "lion"]},
        "learning_rate": {"low": 1e-6, "high": 1e-4, "log": True},
        "head_learning_rate_factor": {"low": 1.0, "high": 20.0, "log": True},
        "layer_decay": {"low": 0.7, "high": 1.0},
        "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
        "adam_beta2": {"low": 0.98, "high": 0.9999},
        "schedule": {"choices": ["linear", "cosine", "cosine_with_restarts", "polynomial", "one_cycle"]},
        "schedule_cycles": {"low": 1, "high": 4},
        "schedule_power": {"low": 1.0, "high": 3.0},
        "warmup_ratio": {"low": 0.0, "high": 0.2},
        "batch_size": {"choices": [8, 16, 32, 64]},
        "max_grad_norm": {"low": 0.5, "high": 5.0, "log": True},
        "loss": {"choices": ["cross_entropy", "label_smoothing", "focal"]},
        "label_smoothing": {"low": 0.01, "high": 0.2},
        "focal_gamma": {"low": 1.0, "high": 5.0},
        "class_weights": {"choices": ["none", "balanced"]},
        "window_overlap": {"low": 0.1, "high": 0.5},
        "null_weight": {"low": 0.25, "high": 2.0, "log": True},
        "task_weight_criteria": {"low": 0.5, "high": 2.0, "log": True},
        "task_weight_evidence": {"low": 0.5, "high": 2.0, "log": True},
        "augmentation": {"choices": ["none", "simple"]},
        "simple_mask": {"choices": [7, 56, 127]},
        "simple_strength": {"low": 0, "high": 3},
        "augmentation_variants": {"low": 1, "high": 4},
        "augmentation_probability": {"low": 0.1, "high": 1.0},
        "augmentation_mode": {"choices": ["add", "replace"]},
    },
}
"""Name -> parameter -> entry, as in the section `spaces` of a configuration file."""
