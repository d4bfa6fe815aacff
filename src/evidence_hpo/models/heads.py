"""The heads: small networks from an encoder's vectors to logits, and the fusion of two encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GatedFusion", "build_head"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "silu": nn.SiLU}


def build_head(
    inputs: int, outputs: int, *, layers: int, hidden: int | list[int] | None, activation: str | None, dropout: float
) -> nn.Sequential:
    """Return a head of ``layers`` hidden layers, with dropout before each linear layer.

    Args:
        inputs: Width of the vectors that the head reads.
        outputs: Number of logits.
        layers: Number of hidden layers; 0 is a linear head.
        hidden: Width of every hidden layer, or the list of their widths; not read where ``layers`` is 0.
        activation: relu, gelu, tanh or silu; not read where ``layers`` is 0.
        dropout: Dropout before each linear layer.
    """
    modules: list[nn.Module] = []
    width = inputs
    for number in range(layers):
        assert hidden is not None
        assert activation is not None
        wide = hidden[number] if isinstance(hidden, list) else hidden
        modules += [nn.Dropout(dropout), nn.Linear(width, wide), _ACTIVATIONS[activation]()]
        width = wide
    return nn.Sequential(*modules, nn.Dropout(dropout), nn.Linear(width, outputs))


class GatedFusion(nn.Module):
    """Adds a text vector to every token of a sequence, through a gate that each token opens for itself.

    ``token + sigmoid(A token + B text + b) * (C text)``, a gated residual (Highway networks, Srivastava et al. 2015):
    with a closed gate the sequence passes unchanged, so that the pre-trained features survive the first steps.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate_token = nn.Linear(hidden, hidden)
        self.gate_text = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor, text: Tensor) -> Tensor:
        """Fuse ``text`` [n, hidden] into ``tokens`` [n, length, hidden] -> [n, length, hidden]."""
        gate = torch.sigmoid(self.gate_token(tokens) + self.gate_text(text).unsqueeze(1))
        fused: Tensor = tokens + gate * self.value(text).unsqueeze(1)
        return fused
