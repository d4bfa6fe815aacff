"""Which windows form a batch, in which order, and which posts form a slice of the data: deterministic everywhere."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_slice", "evaluation_batches", "length_bucketed_batches"]

_MEGA_BATCH = 50
"""Batches that are sorted by length together: enough to leave little padding, few enough to keep the order random."""

Index = NDArray[np.int64]


def length_bucketed_batches(lengths: NDArray[np.integer], batch_size: int, seed: int, epoch: int) -> list[Index]:
    """Return the batches of one epoch: every item once, random order, items of a batch of similar length.

    All items are shuffled, sorted by length within runs of 50 batches, cut into batches, and the batches shuffled. The
    result depends on the arguments alone. One batch at most is smaller than ``batch_size``.

    Args:
        lengths: Length of each item in tokens, [items].
        batch_size: Items in a batch.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    generator = np.random.default_rng(_seed(f"batches/{seed}/{epoch}"))
    order = generator.permutation(len(lengths))
    run = _MEGA_BATCH * batch_size
    runs = [order[begin : begin + run] for begin in range(0, len(order), run)]
    ordered = [part[np.argsort(lengths[part], kind="stable")] for part in runs]
    batches = [part[begin : begin + batch_size] for part in ordered for begin in range(0, len(part), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def evaluation_batches(lengths: NDArray[np.integer], batch_size: int) -> list[Index]:
    """Return batches in which every item comes once, the longest first, so that too little memory shows at once."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    return [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]


def data_slice(post_ids: NDArray[np.object_], fraction: float, seed: int) -> Index:
    """Return the rows whose post is in a random ``fraction`` of the posts, in ascending order.

    Posts are ranked by a hash of seed and id, and the first ``ceil(fraction * posts)`` taken: a smaller fraction is a
    subset of a larger one, and 1.0 is everything.

    Args:
        post_ids: Post of each row, [rows].
        fraction: Share of the posts, in (0, 1].
        seed: Seed of the slice.

    Raises:
        ValueError: ``fraction`` is not in (0, 1].
    """
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction {fraction} is not in (0, 1]")
    posts, post = np.unique(np.asarray(post_ids, dtype=object), return_inverse=True)
    ranks = sorted(range(len(posts)), key=lambda index: _seed(f"slice/{seed}/{posts[index]}"))
    kept = np.zeros(len(posts), dtype=bool)
    kept[ranks[: math.ceil(round(fraction * len(posts), 9))]] = True
    return np.flatnonzero(kept[post])


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest(), "big")
