"""Fresh encoders for a run: with the backbone's weights to be trained, or empty, to be filled with trained weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.initialization import no_init_weights

from evidence_hpo.models.backbones import encoder_options, load_encoder
from evidence_hpo.models.disentangled import accelerate_attention
from evidence_hpo.models.dropout import accelerate_dropout

__all__ = ["empty_encoder", "new_encoder"]


def new_encoder(directory: Path, *, dropout: float) -> PreTrainedModel:
    """Return an encoder with the backbone's weights in memory of its own.

    Nothing is kept between the runs of a process: the file is mapped, and the system holds it in its page cache, so
    that a fresh encoder costs little more than the copy (0.3 s for a base model). The copy also aligns the weights as
    torch's allocator does; kernels may round differently on memory that is aligned differently.

    A DeBERTa gets the fast attention, and every encoder the fast dropout.

    Raises:
        DataError: The directory holds no encoder that can be loaded.
    """
    encoder = load_encoder(directory, dropout=dropout)
    for parameter in encoder.parameters():
        parameter.data = parameter.data.clone()
    accelerate_attention(encoder)
    accelerate_dropout(encoder)
    return encoder


def empty_encoder(directory: Path) -> PreTrainedModel:
    """Return the encoder that ``config.json`` of ``directory`` describes, without meaningful weights."""
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    with no_init_weights():
        encoder: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, **encoder_options(config)
        )
    accelerate_attention(encoder)
    return encoder
