"""Section `backbones`: the encoders a study may use, each under a short name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evidence_hpo.config.base import Section

__all__ = ["KNOWN_MODELS", "BackboneSettings", "FolderBackbone", "HubBackbone", "ScratchBackbone"]


class HubBackbone(Section):
    """An encoder of the Hugging Face hub."""

    source: Literal["hub"] = Field("hub", description="A model of the Hugging Face hub.")
    model: str = Field(..., min_length=1, description="Model id, as microsoft/deberta-v3-base.")
    revision: str = Field("main", min_length=1, description="Commit, tag or branch; pin a commit for a paper.")


class FolderBackbone(Section):
    """An encoder in a local folder in Hugging Face layout."""

    source: Literal["folder"] = Field("folder", description="A local folder in Hugging Face layout.")
    path: str = Field(..., min_length=1, description="The folder.")


class ScratchBackbone(Section):
    """A small DeBERTa-v2 with random weights and a tokeniser trained on the training posts."""

    source: Literal["scratch"] = Field("scratch", description="A small DeBERTa-v2, made here.")
    vocabulary: int = Field(2000, ge=100, le=60000, description="Largest size of the tokeniser's vocabulary.")
    hidden: int = Field(128, ge=16, le=1024, description="Width of the hidden states.")
    layers: int = Field(2, ge=1, le=24, description="Number of transformer layers.")
    heads: int = Field(4, ge=1, le=16, description="Number of attention heads.")
    intermediate: int = Field(256, ge=16, le=4096, description="Width of the feed-forward layers.")
    max_positions: int = Field(512, ge=32, le=4096, description="Longest input in tokens.")
    pretraining_epochs: int = Field(
        0, ge=0, le=100, description="Epochs of masked-language-model training on the training posts."
    )

    @model_validator(mode="after")
    def _divisible(self) -> ScratchBackbone:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        return self


BackboneSettings = Annotated[HubBackbone | FolderBackbone | ScratchBackbone, Field(discriminator="source")]

KNOWN_MODELS = {
    "bert_base": "google-bert/bert-base-uncased",
    "bert_large": "google-bert/bert-large-uncased",
    "roberta_base": "FacebookAI/roberta-base",
    "roberta_large": "FacebookAI/roberta-large",
    "deberta_v3_base": "microsoft/deberta-v3-base",
    "deberta_v3_large": "microsoft/deberta-v3-large",
    "electra_base": "google/electra-base-discriminator",
    "electra_large": "google/electra-large-discriminator",
    "xlm_roberta_base": "FacebookAI/xlm-roberta-base",
    "mental_bert": "mental/mental-bert-base-uncased",
    "psychbert": "mnaylor/psychbert-cased",
    "clinicalbert": "emilyalsentzer/Bio_ClinicalBERT",
}
"""Hub models that a study may name without an entry of its own; such an entry overrides them, to pin a revision."""
