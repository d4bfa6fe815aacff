"""Windows over tokenised texts, their targets, and the assembly of padded batches: array operations, no loop per token.

An input is ``prefix criterion middle window suffix``, laid out by the tokeniser's own pair template. The criterion is
always whole; a text that does not fit is cut to its first window (task criteria) or to overlapping windows (task
evidence), as Hugging Face tokenisers do with ``truncation="only_second"`` and ``return_overflowing_tokens``.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evidence_hpo.errors import DataError
from evidence_hpo.tokens.cache import TokenCache

__all__ = ["MIN_ROOM", "Batch", "Features", "assemble", "build_features"]

MIN_ROOM = 8
"""Fewest tokens of the text that an input must have room for."""

Integers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Features:
    """One entry per window, in the order of the rows that were asked for; all int64 [windows].

    Attributes:
        example: Index of the example in the cache.
        criterion_begin: First token of the criterion in the cache's flat arrays.
        criterion_length: Number of the criterion's tokens.
        text_begin: First token of the window in the cache's flat arrays.
        text_length: Number of the window's tokens of the text.
        length: Number of tokens of the assembled input, special tokens included.
        label: Label of the example (1 = the criterion is met), whether or not the window holds the evidence.
        start: Position in the assembled input of the target's first token; 0 where the window has no target.
        end: Position of the target's last token (inclusive); 0 where the window has no target.
    """

    example: Integers
    criterion_begin: Integers
    criterion_length: Integers
    text_begin: Integers
    text_length: Integers
    length: Integers
    label: Integers
    start: Integers
    end: Integers

    def __len__(self) -> int:
        return len(self.example)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Assembled inputs, padded to the longest of them.

    Attributes:
        input_ids: int64 [n, L].
        attention_mask: int64 [n, L]; 1 at tokens, 0 at padding.
        token_type_ids: int64 [n, L]; all 0 where the model knows no token types.
        labels: int64 [n]; label of the example.
        starts: int64 [n]; position of the target's first token, 0 = no answer in this window.
        ends: int64 [n]; position of the target's last token (inclusive), 0 = no answer in this window.
        context_mask: bool [n, L]; True at position 0, which stands for "no answer", and at the tokens of the text.
        char_starts: int32 [n, L]; character offset in the text of each of its tokens, -1 elsewhere.
        char_ends: int32 [n, L]; end of each token (exclusive), -1 elsewhere.
        example: int64 [n]; index of the example in the cache.
    """

    input_ids: Integers
    attention_mask: Integers
    token_type_ids: Integers
    labels: Integers
    starts: Integers
    ends: Integers
    context_mask: NDArray[np.bool_]
    char_starts: NDArray[np.int32]
    char_ends: NDArray[np.int32]
    example: Integers


def build_features(cache: TokenCache, rows: NDArray[np.integer], *, max_length: int, overlap: float) -> Features:
    """Cut the examples ``rows`` into windows of at most ``max_length`` tokens and find each window's target.

    Task criteria: exactly one window per example, the text truncated. Task evidence: windows that advance by
    ``max(1, floor(room * (1 - overlap)))`` tokens, where ``room`` is what criterion and special tokens leave, until one
    reaches the end of the text. See :func:`_targets` for which span is the target of a window.

    Args:
        cache: The tokenised examples.
        rows: Indices of examples in the cache.
        max_length: Longest input in tokens, criterion and special tokens included.
        overlap: Share of a window's text that the next window repeats, in [0, 1).

    Raises:
        DataError: A criterion leaves less than ``MIN_ROOM`` tokens for the text.
    """
    example = np.asarray(rows, dtype=np.int64)
    begin = cache.row_begin.astype(np.int64)
    criterion = cache.criterion_rows[example].astype(np.int64)
    text = cache.text_rows[example].astype(np.int64)
    criterion_length = begin[criterion + 1] - begin[criterion]
    text_length = begin[text + 1] - begin[text]
    room = _room(cache, example, criterion_length, max_length)
    if cache.task == "criteria":
        stride, count = room, np.ones_like(room)
    else:
        stride = np.maximum(1, np.floor(room * (1.0 - overlap)).astype(np.int64))
        count = 1 + np.maximum(0, -((room - text_length) // stride))
    window = np.repeat(np.arange(len(example)), count)
    first = (np.arange(len(window)) - np.repeat(np.cumsum(count) - count, count)) * stride[window]
    length = np.minimum(room[window], text_length[window] - first)
    start, end = _targets(cache, example[window], first, length)
    shift = len(cache.template.prefix) + len(cache.template.middle) + criterion_length[window] - first
    found = start >= 0
    return Features(
        example=example[window],
        criterion_begin=begin[criterion][window],
        criterion_length=criterion_length[window],
        text_begin=begin[text][window] + first,
        text_length=length,
        length=cache.template.size + criterion_length[window] + length,
        label=cache.labels[example[window]].astype(np.int64),
        start=np.where(found, start + shift, 0),
        end=np.where(found, end + shift, 0),
    )


def _room(cache: TokenCache, example: Integers, criterion_length: Integers, max_length: int) -> Integers:
    room = max_length - cache.template.size - criterion_length
    if (room < MIN_ROOM).any():
        worst = int(np.argmin(room))
        needed = int(max_length - room[worst] + MIN_ROOM)
        left = max(0, int(room[worst]))
        raise DataError(
            f"max_length {max_length} is too short: criterion '{cache.criteria[example[worst]]}' and special tokens "
            f"leave {left} tokens for the text; use at least {needed}, or shorten the criterion"
        )
    return room


def _targets(cache: TokenCache, example: Integers, first: Integers, length: Integers) -> tuple[Integers, Integers]:
    """Return each window's target as token positions in the text (last inclusive), -1 where it has none.

    The target is the first gold span that lies wholly inside the window. Where there is none but the window cuts a
    span, the part inside is the target if it is at least half of the span, or fills at least half of the window (a
    span longer than a window would otherwise never be learnt); the first such part. Everything else is "no answer".
    """
    gold = cache.gold_tokens
    count = gold.begin[example + 1] - gold.begin[example]
    window = np.repeat(np.arange(len(example)), count)
    span = np.arange(len(window)) - np.repeat(np.cumsum(count) - count, count) + gold.begin[example][window]
    low, high = first[window], first[window] + length[window] - 1
    start, end = np.maximum(gold.first[span], low), np.minimum(gold.last[span], high)
    inside, whole = end - start + 1, gold.last[span] - gold.first[span] + 1
    complete = inside == whole
    part = (inside > 0) & ((2 * inside >= whole) | (2 * inside >= length[window]))
    target = np.full((2, len(example)), -1, dtype=np.int64)
    for chosen in (part, complete):  # a complete span overrides a part
        index = np.flatnonzero(chosen)[::-1]  # the first of a window is written last, and stays
        target[:, window[index]] = start[index], end[index]
    return target[0], target[1]


def assemble(cache: TokenCache, features: Features, index: NDArray[np.integer]) -> Batch:
    """Assemble the windows ``index`` into one batch, in that order, padded to the longest.

    Args:
        cache: The cache that ``features`` was built from.
        features: The windows.
        index: Indices of windows, int [n], n >= 1.
    """
    template = cache.template
    length = features.length[index]
    position = np.arange(int(length.max()), dtype=np.int64)[None, :]
    first_end = len(template.prefix) + features.criterion_length[index]
    second_begin = first_end + len(template.middle)
    second_end = second_begin + features.text_length[index]
    in_first = (position >= len(template.prefix)) & (position < first_end[:, None])
    in_second = (position >= second_begin[:, None]) & (position < second_end[:, None])
    source = np.where(in_first, position + (features.criterion_begin[index] - len(template.prefix))[:, None], 0)
    np.copyto(source, position + (features.text_begin[index] - second_begin)[:, None], where=in_second)
    # One look-up for both sequences; positions of neither read row 0's first token and are overwritten.
    sequence = in_first | in_second
    input_ids = np.where(sequence, _take(cache.input_ids, source), cache.pad).astype(np.int64)
    types = template.first_type * in_first.astype(np.int64) + template.second_type * in_second
    parts = (
        (np.zeros_like(first_end), template.prefix, template.prefix_types),
        (first_end, template.middle, template.middle_types),
        (second_end, template.suffix, template.suffix_types),
    )
    row = np.arange(len(length))
    for begin, ids, kinds in parts:
        for offset, (token, kind) in enumerate(zip(ids, kinds, strict=True)):
            input_ids[row, begin + offset] = token
            types[row, begin + offset] = kind
    context = in_second.copy()
    context[:, 0] = True
    return Batch(
        input_ids=input_ids,
        attention_mask=(position < length[:, None]).astype(np.int64),
        token_type_ids=types,
        labels=features.label[index],
        starts=features.start[index],
        ends=features.end[index],
        context_mask=context,
        char_starts=np.where(in_second, _take(cache.starts, source), np.int32(-1)),
        char_ends=np.where(in_second, _take(cache.ends, source), np.int32(-1)),
        example=features.example[index],
    )


def _take(flat: NDArray[np.int32], source: Integers) -> NDArray[np.int32]:
    """Look up ``source``; a cache without a single token (every text empty) reads zeros."""
    return flat[source] if len(flat) else np.zeros(source.shape, dtype=np.int32)
