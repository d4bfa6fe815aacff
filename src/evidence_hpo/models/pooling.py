"""From the vectors of a text's tokens to one vector of the text."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Pooling"]


class Pooling(nn.Module):
    """Pools token vectors: the first token's, their mean, their maximum, or a learned weighted mean.

    ``attention`` scores each token with one learned query and averages with the softmax of the scores
    (Yang et al. 2016, "Hierarchical Attention Networks", without the hidden layer).
    """

    def __init__(self, method: str, hidden: int) -> None:
        super().__init__()
        self.method = method
        self.score = nn.Linear(hidden, 1) if method == "attention" else None

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool ``tokens`` [n, length, hidden] where ``attention_mask`` [n, length] is 1 -> [n, hidden]."""
        if self.method == "cls":
            return tokens[:, 0]
        present = attention_mask.bool().unsqueeze(-1)
        if self.method == "mean":
            return tokens.masked_fill(~present, 0.0).sum(dim=1) / present.sum(dim=1)
        if self.method == "max":
            return tokens.masked_fill(~present, float("-inf")).amax(dim=1)
        assert self.score is not None
        weights = self.score(tokens).float().masked_fill(~present, float("-inf")).softmax(dim=1)
        pooled: Tensor = (tokens * weights.to(tokens.dtype)).sum(dim=1)
        return pooled
