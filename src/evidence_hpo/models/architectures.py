"""The four architectures behind one call: ``model(task, inputs) -> logits``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from evidence_hpo.models.heads import GatedFusion, build_head
from evidence_hpo.models.pooling import Pooling

__all__ = [
    "ARCHITECTURE_TASKS",
    "EncoderInputs",
    "JointModel",
    "SingleEncoderModel",
    "build_model",
    "encoder_count",
]

ARCHITECTURE_TASKS: dict[str, tuple[str, ...]] = {
    "criteria": ("criteria",),
    "evidence": ("evidence",),
    "share": ("criteria", "evidence"),
    "joint": ("criteria", "evidence"),
}
"""The tasks that each architecture is trained on."""


@dataclass(frozen=True)
class EncoderInputs:
    """A batch on the device; all tensors are [n, length].

    ``context_mask`` is True where a span may start or end: at the first token, which stands for "no span", and at the
    tokens of the post.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    context_mask: Tensor


class SingleEncoderModel(nn.Module):
    """One encoder with a head for each task: `criteria`, `evidence`, and `share` with both heads."""

    def __init__(self, encoder: nn.Module, tasks: tuple[str, ...], parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = _hidden(encoder)
        if "criteria" in tasks:
            self.pooling = Pooling(parameters["pooling"], hidden)
            self.criteria_head = _head(hidden, parameters)
        if "evidence" in tasks:
            self.evidence_head = _head(hidden, parameters)

    def forward(self, task: str, inputs: EncoderInputs) -> Tensor:
        """Return float32 logits: [n, 2] (absent, present) for criteria; [n, length, 2] (start, end) for evidence."""
        tokens = _encode(self.encoder, inputs)
        if task == "criteria":
            logits: Tensor = self.criteria_head(self.pooling(tokens, inputs.attention_mask))
            return logits.float()
        return _masked_span_logits(self.evidence_head(tokens), inputs.context_mask)


class JointModel(nn.Module):
    """Two encoders: the criteria encoder's vector of a window is fused into each token of the evidence encoder."""

    def __init__(self, criteria_encoder: nn.Module, evidence_encoder: nn.Module, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.criteria_encoder = criteria_encoder
        self.evidence_encoder = evidence_encoder
        hidden = _hidden(criteria_encoder)
        self.pooling = Pooling(parameters["pooling"], hidden)
        self.criteria_head = _head(hidden, parameters)
        self.fusion = GatedFusion(hidden)
        self.evidence_head = _head(hidden, parameters)

    def forward(self, task: str, inputs: EncoderInputs) -> Tensor:
        """Return float32 logits, as :class:`SingleEncoderModel`; both tasks train the criteria encoder."""
        text = self.pooling(_encode(self.criteria_encoder, inputs), inputs.attention_mask)
        if task == "criteria":
            logits: Tensor = self.criteria_head(text)
            return logits.float()
        tokens = self.fusion(_encode(self.evidence_encoder, inputs), text)
        return _masked_span_logits(self.evidence_head(tokens), inputs.context_mask)


def build_model(
    architecture: str, parameters: Mapping[str, Any], encoders: Sequence[nn.Module]
) -> SingleEncoderModel | JointModel:
    """Return the model of an architecture; its new layers draw from torch's global generator.

    Args:
        architecture: A key of :data:`ARCHITECTURE_TASKS`.
        parameters: The run's active parameters.
        encoders: As many encoders of their own as :func:`encoder_count` says, with the backbone's weights.
    """
    if architecture == "joint":
        criteria_encoder, evidence_encoder = encoders
        return JointModel(criteria_encoder, evidence_encoder, parameters)
    (encoder,) = encoders
    return SingleEncoderModel(encoder, ARCHITECTURE_TASKS[architecture], parameters)


def encoder_count(architecture: str) -> int:
    """Return how many encoders an architecture has."""
    return 2 if architecture == "joint" else 1


def _hidden(encoder: nn.Module) -> int:
    hidden: Any = encoder.config.hidden_size  # type: ignore[union-attr]
    return int(hidden)


def _head(hidden: int, parameters: Mapping[str, Any]) -> nn.Sequential:
    return build_head(
        hidden,
        2,
        layers=parameters["head_layers"],
        hidden=parameters.get("head_hidden"),
        activation=parameters.get("head_activation"),
        dropout=parameters["dropout"],
    )


def _encode(encoder: nn.Module, inputs: EncoderInputs) -> Tensor:
    arguments = {"input_ids": inputs.input_ids, "attention_mask": inputs.attention_mask}
    if (getattr(encoder.config, "type_vocab_size", None) or 0) > 1:
        arguments["token_type_ids"] = inputs.token_type_ids
    tokens: Tensor = encoder(**arguments).last_hidden_state
    return tokens


def _masked_span_logits(logits: Tensor, context_mask: Tensor) -> Tensor:
    return logits.float().masked_fill(~context_mask.unsqueeze(-1), float("-inf"))
