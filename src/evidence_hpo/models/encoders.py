"""Fresh encoders for a run: with the backbone's weights to be trained, or empty, to be filled with trained weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.initialization import no_init_weights

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.models.backbones import encoder_options, load_encoder
from evidence_hpo.models.disentangled import accelerate_attention
from evidence_hpo.models.dropout import accelerate_dropout

__all__ = ["empty_encoder", "new_encoder"]


def new_encoder(directory: Path, *, dropout: float, attention: str = "auto") -> PreTrainedModel:
    """Return an encoder with the backbone's weights in memory of its own.

    Nothing is kept between the runs of a process: the file is mapped, and the system holds it in its page cache, so
    that a fresh encoder costs little more than the copy (0.3 s for a base model). The copy also aligns the weights as
    torch's allocator does; kernels may round differently on memory that is aligned differently.

    Args:
        directory: A prepared encoder.
        dropout: Dropout of hidden states and attention inside it.
        attention: Implementation of its attention, as `training.runtime.attention`.

    Raises:
        ConfigurationError: The encoder or the machine does not have that attention.
        DataError: The directory holds no encoder that can be loaded.
    """
    encoder = load_encoder(directory, dropout=dropout)
    for parameter in encoder.parameters():
        parameter.data = parameter.data.clone()
    _set_attention(encoder, attention)
    accelerate_dropout(encoder)
    return encoder


def empty_encoder(directory: Path, *, attention: str = "auto") -> PreTrainedModel:
    """Return the encoder that ``config.json`` of ``directory`` describes, without meaningful weights.

    Raises:
        ConfigurationError: The encoder or the machine does not have that attention.
    """
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    with no_init_weights():
        encoder: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, **encoder_options(config)
        )
    _set_attention(encoder, attention)
    return encoder


def _set_attention(encoder: PreTrainedModel, attention: str) -> None:
    if attention == "auto":
        accelerate_attention(encoder)
        return
    key = f"training.runtime.attention: {attention}"
    if attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        # transformers would fetch a kernel from the hub instead: code that nobody pinned.
        raise ConfigurationError(f"{key}: the package flash-attn is not installed; use auto")
    try:
        encoder.set_attn_implementation(attention)
        missing = encoder.config._attn_implementation != attention
    except (ValueError, ImportError):
        missing = True
    if missing:
        raise ConfigurationError(f"{key}: a {encoder.config.model_type} encoder does not have it here; use auto")
