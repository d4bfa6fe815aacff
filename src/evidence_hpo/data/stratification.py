"""Iterative stratification of groups with several labels each (Sechidis, Tsoumakas and Vlahavas 2011)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["stable_order", "stratify"]


def stable_order(keys: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return a shuffling of ``keys`` that depends on the keys and the seed alone, not on their order or any library."""
    digests = [hashlib.sha256(f"{seed}|{key}".encode()).hexdigest() for key in keys]
    return np.asarray(sorted(range(len(keys)), key=digests.__getitem__), dtype=np.int64)


def stratify(
    keys: Sequence[str], sizes: NDArray[np.int64], labels: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Assign groups to subsets so that sizes and each label's counts are near their shares.

    The rarest label that is left is dealt first: each of its groups goes to the subset that still wants most of the
    label, then most items, then the earlier one. Groups without labels fill up the sizes.

    Args:
        keys: Distinct name of each of the n groups; decides the order within a label together with the seed.
        sizes: Items in each group, [n].
        labels: Items with each of the k labels in each group, [n, k].
        shares: Share of each subset; they sum to 1.
        seed: Of the shuffling.

    Returns:
        Index of the subset of each group, [n].
    """
    order = stable_order(keys, seed)
    share = np.asarray(shares, dtype=np.float64)
    wanted_sizes = share * sizes.sum()
    wanted_labels = np.outer(share, labels.sum(axis=0))
    subset = np.full(len(keys), -1, dtype=np.int64)
    left = labels.sum(axis=0)

    def place(group: int, label: int | None) -> None:
        need = wanted_sizes if label is None else wanted_labels[:, label]
        best = np.lexsort((np.arange(len(share)), -wanted_sizes.round(9), -need.round(9)))[0]
        subset[group] = best
        wanted_sizes[best] -= sizes[group]
        wanted_labels[best] -= labels[group]
        left[:] -= labels[group]

    while (left > 0).any():
        rarest = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for group in order[(labels[order, rarest] > 0) & (subset[order] < 0)]:
            place(int(group), rarest)
    for group in order[subset[order] < 0]:
        place(int(group), None)
    return subset
