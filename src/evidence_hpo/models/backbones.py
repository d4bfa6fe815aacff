"""Loading an encoder that `prepare_backbone` made: in float32, from safetensors, every weight accounted for."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging

from evidence_hpo.errors import DataError

__all__ = ["encoder_options", "load_encoder", "max_positions", "quiet", "set_dropout"]

_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "hidden_dropout",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "dropout",
)
"""How the families of encoders name their dropout of hidden states and attention."""


def load_encoder(directory: Path, *, dropout: float) -> PreTrainedModel:
    """Load an encoder without any head or pooler, in float32 on the CPU, in evaluation mode.

    Args:
        directory: A directory in Hugging Face layout with ``config.json`` and safetensors weights.
        dropout: Dropout of hidden states and attention inside the encoder.

    Raises:
        DataError: The directory holds no encoder that the installed transformers can load, or weights are missing.
    """
    quiet()
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        set_dropout(config, dropout)
        model, report = AutoModel.from_pretrained(
            directory,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **encoder_options(config),
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise DataError(f"{directory}: not an encoder that can be loaded ({reason})") from error
    missing = sorted(report["missing_keys"]) + sorted(map(str, report.get("mismatched_keys", ())))
    if missing:
        # They would be random numbers, other ones in each run.
        raise DataError(
            f"{directory}: {len(missing)} weights of a {config.model_type} encoder are missing or of another shape, "
            f"the first is {missing[0]}; is config.json the one of these weights?"
        )
    encoder: PreTrainedModel = model.train(False)
    return encoder


def set_dropout(config: PreTrainedConfig, dropout: float) -> None:
    """Set the dropout of hidden states and attention in an encoder's configuration, however its family names it."""
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)


def quiet() -> None:
    """Keep the library's progress bars, and its reports about dropped heads, out of standard error."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def encoder_options(config: PreTrainedConfig) -> dict[str, Any]:
    """Return the constructor's options that leave out a family's pooler, which this package never uses.

    Raises:
        DataError: The family has no encoder in transformers.
    """
    if type(config) not in MODEL_MAPPING:
        raise DataError(f"model type '{config.model_type}' has no encoder in transformers")
    encoder = cast("type[PreTrainedModel]", MODEL_MAPPING[type(config)])
    known = inspect.signature(encoder).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in known else {}


def max_positions(model: PreTrainedModel) -> int:
    """Return the longest input in tokens.

    RoBERTa-like families number positions from the padding id on, so that many of their position embeddings are unused.
    """
    positions = int(model.config.max_position_embeddings)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return positions if padding is None else positions - int(padding) - 1
