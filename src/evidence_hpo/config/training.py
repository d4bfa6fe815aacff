"""Section `training`: what every run of the study shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evidence_hpo.config.base import Section
from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.parameters import TrialParameters

__all__ = ["RuntimeSettings", "TrainingSettings"]


class RuntimeSettings(Section):
    """How runs compute. Numbers depend on these settings, never on what a scheduler granted."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one.")
    tf32: bool = Field(
        True, description="Let a GPU multiply float32 matrices with TF32's shorter fraction; of no effect on a CPU."
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        "auto",
        description=(
            "Implementation of the encoder's attention; auto: an exact faster one for DeBERTa-v2 and v3, sdpa where "
            "the encoder has it, else eager. flash_attention_2 needs a GPU, bf16 or fp16 and the package flash-attn."
        ),
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute the encoder's activations twice instead of keeping them: less memory, slower."
    )
    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = Field(
        "off",
        description="Mode of torch.compile for the training passes; minutes of compiling, seldom worth it on a CPU.",
    )
    threads: int = Field(1, ge=1, le=256, description="CPU threads of a run; also its share of the scheduler's cores.")
    evaluation_batch_size: int = Field(64, ge=1, le=4096, description="Examples in a forward pass of the evaluation.")


class TrainingSettings(Section):
    """The section `training`."""

    parameters: TrialParameters = Field(
        TrialParameters(), description="Value of every parameter that a space does not search."
    )
    early_stopping_patience: int = Field(
        3, ge=0, le=1000, description="Epochs without improvement after which a run ends; 0: never."
    )
    runtime: RuntimeSettings = Field(RuntimeSettings(), description="Device, memory and threads.")
    checkpoints: CheckpointSettings = Field(
        CheckpointSettings(), description="Files a running run keeps; they change no number and rerun nothing."
    )
