"""Masked-language-model pretraining of a small encoder (Devlin et al., 2019): plain, on the CPU, reproducible."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from evidence_hpo.models.disentangled import accelerate_attention

__all__ = ["PretrainingTokens", "pretrain"]

_MASKED_SHARE = 0.15
_LEARNING_RATE = 0.02  # at width 1; falls with the root of the width, 1.8e-3 at 128
_WARM_UP_SHARE = 0.1
_BATCH_SIZE = 16
_BLOCK = 128


@dataclasses.dataclass(frozen=True)
class PretrainingTokens:
    """Ids of the special tokens that pretraining needs; ``size`` is the number of the vocabulary's tokens."""

    cls: int
    sep: int
    mask: int
    size: int
    special: tuple[int, ...]


class _MaskedHead(nn.Module):
    """Transform, normalise and decode with the embedding matrix itself."""

    def __init__(self, embeddings: nn.Embedding) -> None:
        super().__init__()
        self.embeddings = embeddings
        width = embeddings.embedding_dim
        self.transform = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(embeddings.num_embeddings))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden states [n, width] to logits [n, vocabulary]."""
        hidden = self.norm(functional.gelu(self.transform(hidden)))
        return functional.linear(hidden, self.embeddings.weight, self.bias)


def pretrain(
    encoder: PreTrainedModel,
    posts: list[list[int]],
    tokens: PretrainingTokens,
    *,
    epochs: int,
    seed: int,
    report: Callable[[int, float], None],
) -> list[float]:
    """Train ``encoder`` in place to predict masked tokens and return the mean loss of each epoch.

    Posts are joined (a separator between them) and cut into blocks of at most 128 tokens. 15 % of the tokens are
    chosen in each epoch anew; of these 80 % become [MASK], 10 % a random token, 10 % stay. AdamW, linear warm-up and
    decay. The result depends on the arguments alone; the caller holds torch's global generator (dropout uses it).

    Args:
        encoder: Encoder whose embeddings are as wide as its hidden states.
        posts: Token ids of each post, without special tokens.
        tokens: The special tokens.
        epochs: Passes over the posts.
        seed: Seed of order and masking.
        report: Called with epoch (from 1) and mean loss.
    """
    blocks = _blocks(posts, tokens, min(_BLOCK, int(encoder.config.max_position_embeddings)))
    head = _MaskedHead(cast("nn.Embedding", encoder.get_input_embeddings()))
    parameters = {id(weight): weight for module in (encoder, head) for weight in module.parameters()}
    peak = _LEARNING_RATE * float(encoder.config.hidden_size) ** -0.5
    optimizer = torch.optim.AdamW(list(parameters.values()), lr=peak, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    batches_per_epoch = -(-len(blocks) // _BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(epochs * batches_per_epoch))
    accelerate_attention(encoder)
    encoder.train()
    losses = []
    for epoch in range(1, epochs + 1):
        total = torch.zeros(())
        for index in torch.split(torch.randperm(len(blocks), generator=generator), _BATCH_SIZE):
            loss = _masked_loss(encoder, head, blocks[index], tokens, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.detach()
        losses.append(float(total / batches_per_epoch))
        report(epoch, losses[-1])
    encoder.train(False)
    return losses


def _linear(steps: int) -> Callable[[int], float]:
    warm_up = max(1, round(_WARM_UP_SHARE * steps))
    return lambda step: min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))


def _blocks(posts: list[list[int]], tokens: PretrainingTokens, length: int) -> Tensor:
    """Return int64 [blocks, length]: [CLS] tokens [SEP], the last block filled up with separators."""
    joined = [token for post in posts for token in (*post, tokens.sep)]
    room = length - 2
    joined += [tokens.sep] * (-len(joined) % room)
    body = torch.tensor(joined, dtype=torch.int64).view(-1, room)
    ends = torch.ones(len(body), 1, dtype=torch.int64)
    return torch.cat([ends * tokens.cls, body, ends * tokens.sep], dim=1)


def _masked_loss(
    encoder: PreTrainedModel, head: _MaskedHead, blocks: Tensor, tokens: PretrainingTokens, generator: torch.Generator
) -> Tensor:
    chance = torch.rand(blocks.shape, generator=generator)
    ordinary = ~torch.isin(blocks, torch.tensor(tokens.special))
    chosen = ordinary & (chance < _MASKED_SHARE)
    inputs = blocks.masked_fill(ordinary & (chance < 0.8 * _MASKED_SHARE), tokens.mask)
    random = torch.randint(tokens.size, blocks.shape, generator=generator)
    swapped = chosen & (chance >= 0.9 * _MASKED_SHARE)
    inputs = torch.where(swapped, random, inputs)
    hidden: Tensor = encoder(input_ids=inputs, attention_mask=torch.ones_like(inputs)).last_hidden_state
    if not chosen.any():
        return hidden.sum() * 0.0
    # Logits of the masked positions only: the decoder is most of the work of a small model.
    return functional.cross_entropy(head(hidden[chosen]), blocks[chosen])
