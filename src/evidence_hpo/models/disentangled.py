"""Disentangled attention (He et al., 2021) that computes what transformers' DeBERTa-v2 computes, with less work.

The score of query i and key j is content to content, plus the query against the key projection of their relative
position (c2p), plus the key against its query projection (p2c). transformers multiplies every query and key with all
relative positions and gathers. Here

- only the rows of relative positions that a batch's length needs are projected, once a layer;
- queries (keys) are cut into blocks; a block is multiplied with the band of distances that it meets, one column a
  distance. In such a product, row r holds the wanted scores from column `block - 1 - r` on, so that a strided view with
  one step less a row ("skew") lines them up with the keys, without an index;
- few scores are computed at a time, in the cache; fresh memory costs more than the arithmetic done on it;
- the backward pass is written out: it keeps the probabilities and 16 bits an element for dropout, nothing else of that
  size.

Weights, their names, outputs and gradients are those of transformers up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DebertaV2Model, PreTrainedModel
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2Encoder,
    DisentangledSelfAttention,
    make_log_bucket_position,
)

from evidence_hpo.models.dropout import LEVELS, draw_lanes, drop_level, keep_mask

__all__ = ["accelerate_attention"]

_BLOCK = 64
"""Wanted number of queries in a block: fewer make the band narrower, more make the products larger."""

_SCORES = 2**18
"""Scores that are computed at once on a CPU: they and their gradients should fit its cache."""

_SCORES_ELSEWHERE = 2**28
"""The same on a GPU, where every part costs launches; it bounds the memory."""


def accelerate_attention(encoder: PreTrainedModel) -> bool:
    """Let a DeBERTa-v2 or -v3 compute its attention the fast way, in place; leave any other encoder alone.

    Returns:
        Whether ``encoder`` uses it now.
    """
    if type(encoder) is not DebertaV2Model:
        return False
    attentions = [cast("Any", layer).attention.self for layer in encoder.encoder.layer]
    known = {type(attention) for attention in attentions} <= {DisentangledSelfAttention, _Attention}
    plain = type(encoder.encoder) not in (DebertaV2Encoder, _Encoder) or not encoder.encoder.relative_attention
    if plain or not known:
        return False
    encoder.encoder.__class__ = _Encoder
    for attention in attentions:
        attention.__class__ = _Attention
    return True


@dataclass(frozen=True)
class _Band:
    """The relative positions of texts of one length, which are padded to whole blocks.

    Attributes:
        length: Tokens of a text.
        blocks: Number of blocks.
        block: Queries (keys) of a block.
        width: Columns of a block's product.
        first: First row of the relative embeddings that is needed.
        last: Last row that is needed.
        c2p: The row, counted from ``first``, of each block's columns where rows are queries [blocks * width].
        p2c: The same where rows are keys [blocks * width].
    """

    length: int
    blocks: int
    block: int
    width: int
    first: int
    last: int
    c2p: Tensor
    p2c: Tensor

    @property
    def padded(self) -> int:
        return self.blocks * self.block

    def rows(self, states: Tensor) -> Tensor:
        """View [heads, batch, padded, size] as [heads, batch, blocks, block, size]."""
        return states.view(*states.shape[:2], self.blocks, self.block, -1)

    def pairs(self, scores: Tensor) -> Tensor:
        """View [heads, batch, padded, padded] as [heads, batch, blocks, block, blocks, block]."""
        return scores.view(*scores.shape[:2], self.blocks, self.block, self.blocks, self.block)

    def skewed(self, product: Tensor, heads: int) -> Tensor:
        """View a product [heads * blocks, batch * block, width] as [heads, batch, blocks, block, blocks, block].

        The two middle axes are the rows' positions, the last two the others'.
        """
        rows = product.size(1) * self.width
        batch = product.size(1) // self.block
        size = (heads, batch, self.blocks, self.block, self.blocks, self.block)
        stride = (self.blocks * rows, self.block * self.width, rows, self.width - 1, self.block, 1)
        return product.as_strided(size, stride, self.block - 1)


@lru_cache(maxsize=256)
def _band(length: int, span: int, buckets: int, max_positions: int, device: torch.device) -> _Band:
    blocks = max(1, round(length / _BLOCK))
    block = -(-length // blocks)
    width = (blocks + 1) * block  # one column more than needed: even rows are faster
    # A cached tensor must be usable in training even if an evaluation made it. The host computes it: nothing waits.
    with torch.inference_mode(False), torch.device("cpu"):
        distances = torch.arange(1 - length, length)
        if buckets > 0 and max_positions > 0:
            distances = make_log_bucket_position(distances, buckets, max_positions).to(torch.int64)
        rows = torch.clamp(distances + span, 0, 2 * span - 1)
        first, last = int(rows[0]), int(rows[-1])
        starts = torch.arange(blocks)[:, None] * block + block - 1
        ahead = (starts - torch.arange(width)).clamp(1 - length, length - 1).flatten() + length - 1
        c2p, p2c = rows[ahead] - first, rows.flip(0)[ahead] - first
        return _Band(length, blocks, block, width, first, last, c2p.to(device), p2c.to(device))


@dataclass
class _Mask:
    """Which key a query may see, bool ``allowed`` [batch or 1, length, length], and what is made of it once a batch."""

    allowed: Tensor
    _bias: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict)
    _seeing: list[Tensor] = field(default_factory=list)

    def bias(self, padded: int, dtype: torch.dtype) -> Tensor:
        """Return what is added to the scores: 0, lowest number, or -inf beyond the text [batch or 1, padded, padded].

        A score vanishes beside the lowest number, so that a query that sees nothing attends to all keys alike, as in
        transformers. Half precision keeps a distance from infinity.
        """
        key = (padded, dtype)
        if key not in self._bias:
            lowest = torch.finfo(dtype).min * (0.5 if dtype == torch.float16 else 1.0)
            length = self.allowed.size(-1)
            bias = torch.zeros(len(self.allowed), padded, padded, dtype=dtype, device=self.allowed.device)
            bias[:, :, length:] = -torch.inf
            bias[:, :length, :length].masked_fill_(~self.allowed, lowest)
            self._bias[key] = bias
        return self._bias[key]

    def seeing(self) -> Tensor:
        """Return the queries that see any key, bool [batch or 1, length, 1]."""
        if not self._seeing:
            self._seeing.append(self.allowed.any(-1, keepdim=True))
        return self._seeing[0]


class _Encoder(DebertaV2Encoder):
    """transformers' encoder that hands its layers a band and a mask instead of tensors over all pairs."""

    def get_attention_mask(self, attention_mask: Tensor) -> Any:
        seen = attention_mask.bool()
        if seen.dim() <= 2:
            return _Mask(seen[:, None, :] & seen[:, :, None])
        if seen.dim() == 3:
            return _Mask(seen)
        return _Mask(seen[:, 0]) if seen.size(1) == 1 else attention_mask

    def get_rel_pos(
        self, hidden_states: Tensor, query_states: Tensor | None = None, relative_pos: Tensor | None = None
    ) -> Any:
        same = query_states is None or query_states.size(1) == hidden_states.size(1)
        if relative_pos is not None or not same:
            return super().get_rel_pos(hidden_states, query_states, relative_pos)  # type: ignore[no-untyped-call]
        buckets = int(self.position_buckets)
        span = buckets if buckets > 0 else int(self.max_relative_positions)
        return _band(hidden_states.size(1), span, buckets, int(self.max_relative_positions), hidden_states.device)


class _Attention(DisentangledSelfAttention):
    """transformers' attention of one layer, computed by :class:`_Disentangled`."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Any = None,
        rel_embeddings: Any = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context [batch, length, width], and the probabilities if they are wanted."""
        fast = isinstance(attention_mask, _Mask) and isinstance(relative_pos, _Band)
        if not fast or output_attentions or self.dropout.p >= 1.0:
            mask = attention_mask.allowed[:, None] if isinstance(attention_mask, _Mask) else attention_mask
            positions = None if isinstance(relative_pos, _Band) else relative_pos
            result: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, mask, output_attentions, query_states, positions, rel_embeddings
            )  # type: ignore[no-untyped-call]
            return result
        query = self.query_proj(hidden_states if query_states is None else query_states)
        key, value = self.key_proj(hidden_states), self.value_proj(hidden_states)
        c2p, p2c = self._tables(rel_embeddings, relative_pos)
        settings = _Settings(
            heads=self.num_attention_heads,
            scale=(self.attention_head_size * (1 + len({"c2p", "p2c"} & set(self.pos_att_type)))) ** -0.5,
            drop=drop_level(self.dropout.p) if self.training else 0,
            band=relative_pos,
            mask=attention_mask,
        )
        return _Disentangled.apply(query, key, value, c2p, p2c, settings), None  # type: ignore[no-untyped-call]

    def _tables(self, embeddings: Tensor, band: _Band) -> tuple[Tensor | None, Tensor | None]:
        """Return the projections that queries and keys are multiplied with, each [blocks * width, heads * size]."""
        rows = self.pos_dropout(embeddings[band.first : band.last + 1])
        c2p = p2c = None
        if "c2p" in self.pos_att_type:
            projection = self.key_proj if self.share_att_key else self.pos_key_proj
            c2p = functional.embedding(band.c2p, projection(rows))
        if "p2c" in self.pos_att_type:
            projection = self.query_proj if self.share_att_key else self.pos_query_proj
            p2c = functional.embedding(band.p2c, projection(rows))
        return c2p, p2c


class _Settings(NamedTuple):
    """What does not get a gradient: see :class:`_Disentangled`."""

    heads: int
    scale: float
    drop: int
    band: _Band
    mask: _Mask

    @property
    def factor(self) -> float:
        """What kept probabilities are multiplied with."""
        return LEVELS / (LEVELS - self.drop)


class _Disentangled(torch.autograd.Function):
    """softmax(scale * (Q K' + c2p + p2c) + mask) V with dropout of the probabilities.

    Takes query, key, value [batch, length, heads * size], the tables of :meth:`_Attention._tables`, and settings; gives
    [batch, length, heads * size]. Works on parts of the heads and the batch, so that the scores stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, c2p: Tensor | None, p2c: Tensor | None, settings: _Settings
    ) -> Tensor:
        with torch.autocast(query.device.type, enabled=False):
            q, k, v = (_split(tensor, settings) for tensor in (query, key, value))
            q *= settings.scale
            left = None if c2p is None else _table(c2p, settings)
            right = None if p2c is None else _table(p2c, settings).mul_(settings.scale)
            bias = settings.mask.bias(settings.band.padded, q.dtype)
            context = torch.empty_like(q)
            saved: list[Tensor | None] = []
            for heads, batch in _parts(q):
                scores = _scores(q[heads, batch], k[heads, batch], _of(left, heads), _of(right, heads), settings.band)
                scores += bias if len(bias) == 1 else bias[batch]
                probabilities = torch.softmax(scores, -1)
                lanes, kept = None, probabilities
                if settings.drop:
                    lanes = draw_lanes(scores.numel(), scores.device)
                    kept = keep_mask(lanes, settings.drop, scores).mul_(probabilities)
                torch.bmm(_flat(kept), _flat(v[heads, batch]), out=_flat(context[heads, batch]))
                if any(ctx.needs_input_grad):
                    saved += [probabilities, lanes]
        ctx.settings = settings
        ctx.save_for_backward(q, k, v, left, right, *saved)
        return _join(context.mul_(settings.factor), settings.band.length)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        settings: _Settings = ctx.settings
        q, k, v, left, right, *saved = ctx.saved_tensors
        d_q, d_k, d_v = (torch.empty_like(tensor) for tensor in (q, k, v))
        d_left, d_right = (None if table is None else torch.zeros_like(table) for table in (left, right))
        with torch.autocast(q.device.type, enabled=False):
            d_context = _split(grads[0], settings).mul_(settings.factor)
            # The scores of a query that sees nothing are constants.
            d_seeing = _split(grads[0] * settings.mask.seeing(), settings).mul_(settings.factor)
            parts = _parts(q)
            buffer = q.new_zeros(_flat(q[parts[0]]).size(0) * settings.band.padded, settings.band.width)
            for number, (heads, batch) in enumerate(parts):
                probabilities, lanes = saved[2 * number : 2 * number + 2]
                d_kept = d_seeing[heads, batch] @ v[heads, batch].mT
                kept = probabilities
                if lanes is not None:
                    kept = keep_mask(lanes, settings.drop, torch.empty_like(probabilities))
                    d_kept *= kept
                    kept *= probabilities
                torch.bmm(_flat(kept).mT, _flat(d_context[heads, batch]), out=_flat(d_v[heads, batch]))
                d_scores = torch._softmax_backward_data(d_kept, probabilities, -1, probabilities.dtype)
                torch.bmm(_flat(d_scores), _flat(k[heads, batch]), out=_flat(d_q[heads, batch]))
                torch.bmm(_flat(d_scores).mT, _flat(q[heads, batch]), out=_flat(d_k[heads, batch]))
                pairs = settings.band.pairs(d_scores)
                if left is not None and d_left is not None:
                    _add_position_gradients(pairs, q, left, d_q, d_left, (heads, batch), buffer, settings.band)
                if right is not None and d_right is not None:
                    pairs = pairs.permute(0, 1, 4, 5, 2, 3)
                    _add_position_gradients(pairs, k, right, d_k, d_right, (heads, batch), buffer, settings.band)
            d_q *= settings.scale
        length = settings.band.length
        d_c2p = None if d_left is None else _rows(d_left)
        d_p2c = None if d_right is None else _rows(d_right.mul_(settings.scale))
        return _join(d_q, length), _join(d_k, length), _join(d_v, length), d_c2p, d_p2c, None


def _parts(states: Tensor) -> list[tuple[slice, slice]]:
    """Cut [heads, batch, padded, size] into parts (heads, batch) with few scores each."""
    heads, batch, padded, _ = states.shape
    room = _SCORES if states.device.type == "cpu" else _SCORES_ELSEWHERE
    room = max(1, room // padded**2)
    if room >= batch:
        step = room // batch
        return [(slice(head, head + step), slice(0, batch)) for head in range(0, heads, step)]
    return [(slice(head, head + 1), slice(n, n + room)) for head in range(heads) for n in range(0, batch, room)]


def _of(table: Tensor | None, heads: slice) -> Tensor | None:
    return None if table is None else table[heads]


def _flat(states: Tensor) -> Tensor:
    """View [heads, batch, n, m] as [heads * batch, n, m]."""
    return states.view(-1, *states.shape[2:])


def _split(states: Tensor, settings: _Settings) -> Tensor:
    """Copy [batch, length, heads * size] to [heads, batch, padded, size], filled up with zeros."""
    batch, length, width = states.shape
    result = states.new_empty(settings.heads, batch, settings.band.padded, width // settings.heads)
    result[:, :, :length] = states.view(batch, length, settings.heads, -1).permute(2, 0, 1, 3)
    result[:, :, length:] = 0.0
    return result


def _join(states: Tensor, length: int) -> Tensor:
    """Copy [heads, batch, padded, size] to [batch, length, heads * size]."""
    joined = states[:, :, :length].permute(1, 2, 0, 3)
    return joined.clone(memory_format=torch.contiguous_format).flatten(2)


def _table(rows: Tensor, settings: _Settings) -> Tensor:
    """Copy [blocks * width, heads * size] to [heads, blocks, width, size]."""
    band = settings.band
    table = rows.view(band.blocks, band.width, settings.heads, -1).permute(2, 0, 1, 3)
    return table.clone(memory_format=torch.contiguous_format)  # never a view: it is changed in place


def _rows(table: Tensor) -> Tensor:
    """Undo :func:`_table`."""
    return table.permute(1, 2, 0, 3).flatten(0, 1).flatten(1)


def _blocked(states: Tensor, band: _Band) -> Tensor:
    """Return [heads, batch, padded, size] as [heads * blocks, batch * block, size]."""
    heads, batch, _, size = states.shape
    return band.rows(states).transpose(1, 2).reshape(heads * band.blocks, batch * band.block, size)


def _scores(q: Tensor, k: Tensor, left: Tensor | None, right: Tensor | None, band: _Band) -> Tensor:
    """Return the scores [heads, batch, padded, padded] of scaled queries and keys [heads, batch, padded, size]."""
    if left is None and right is None:
        return q @ k.mT
    scores = q.new_empty(*q.shape[:3], band.padded)
    pairs = band.pairs(scores)
    # The transposed part first: a copy handles odd strides faster than an addition.
    if right is not None:
        pairs.copy_(band.skewed(_blocked(k, band) @ _flat(right).mT, len(k)).permute(0, 1, 4, 5, 2, 3))
    if left is not None:
        product = band.skewed(_blocked(q, band) @ _flat(left).mT, len(q))
        pairs.copy_(product) if right is None else pairs.add_(product)
    _flat(scores).baddbmm_(_flat(q), _flat(k).mT)
    return scores


def _add_position_gradients(
    pairs: Tensor,
    rows: Tensor,
    table: Tensor,
    d_rows: Tensor,
    d_table: Tensor,
    part: tuple[slice, slice],
    buffer: Tensor,
    band: _Band,
) -> None:
    """Add one part's gradients to those of queries or keys and of their table.

    Args:
        pairs: Gradients of the scores, the rows' positions first (as :meth:`_Band.pairs`).
        rows: Queries or keys [heads, batch, padded, size].
        table: What they were multiplied with [heads, blocks, width, size].
        d_rows: Gradients of ``rows``.
        d_table: Gradients of ``table``.
        part: Heads and examples of ``pairs``.
        buffer: Room for a product [rows, width] that is 0 where no pair is; it stays so.
        band: The relative positions.
    """
    chosen = _blocked(rows[part], band)
    product = buffer[: len(chosen) * chosen.size(1)].view(*chosen.shape[:2], band.width)
    band.skewed(product, len(pairs)).copy_(pairs)
    blocks = (product @ _flat(table[part[0]])).view(len(pairs), band.blocks, -1, band.block, rows.size(-1))
    band.rows(d_rows[part]).add_(blocks.transpose(1, 2))
    _flat(d_table[part[0]]).baddbmm_(product.mT, chosen)
