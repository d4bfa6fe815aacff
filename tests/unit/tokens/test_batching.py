from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_hpo.tokens.batching import data_slice, evaluation_batches, length_bucketed_batches

lengths_lists = st.lists(st.integers(3, 512), max_size=300).map(lambda values: np.array(values, dtype=np.int64))


@given(lengths_lists, st.integers(1, 40), st.integers(0, 2**40), st.integers(0, 50))
@settings(max_examples=60)
def test_training_batches_hold_every_item_once(lengths: np.ndarray, size: int, seed: int, epoch: int) -> None:
    batches = length_bucketed_batches(lengths, size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert sorted((len(batch) for batch in batches), reverse=True)[:-1] == [size] * (len(batches) - 1)


@given(lengths_lists, st.integers(1, 40))
@settings(max_examples=60)
def test_evaluation_batches_hold_every_item_once_and_start_with_the_longest(lengths: np.ndarray, size: int) -> None:
    batches = evaluation_batches(lengths, size)
    flat = [int(index) for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert lengths[flat].tolist() == sorted(lengths.tolist(), reverse=True)


def test_batches_depend_on_seed_and_epoch_only() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 1000)
    one = [batch.tolist() for batch in length_bucketed_batches(lengths, 16, 3, 1)]
    assert one == [batch.tolist() for batch in length_bucketed_batches(lengths.copy(), 16, 3, 1)]
    assert one != [batch.tolist() for batch in length_bucketed_batches(lengths, 16, 3, 2)]
    assert one != [batch.tolist() for batch in length_bucketed_batches(lengths, 16, 4, 1)]


def test_known_batches_stay_the_same_from_version_to_version() -> None:
    batches = length_bucketed_batches(np.array([9, 3, 7, 3, 5, 8]), 2, 42, 0)
    assert sorted(sorted(batch.tolist()) for batch in batches) == [[0, 5], [1, 3], [2, 4]]


def test_bucketing_removes_most_of_the_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 3000)

    def padding(batches: list[np.ndarray]) -> int:
        return sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches)

    shuffled = np.array_split(np.random.default_rng(1).permutation(3000), 3000 // 16)
    assert padding(length_bucketed_batches(lengths, 16, 0, 0)) < 0.1 * padding(shuffled)


def test_batches_do_not_come_in_the_order_of_their_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 3000)
    longest = [lengths[batch].max() for batch in length_bucketed_batches(lengths, 16, 0, 0)]
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.3


posts_lists = st.lists(st.integers(0, 60), min_size=1, max_size=200)


@given(posts_lists, st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.integers(0, 1000))
@settings(max_examples=60)
def test_slices_are_nested_and_never_cut_a_post(numbers: list[int], one: float, other: float, seed: int) -> None:
    posts = np.array([f"s_{number}" for number in numbers], dtype=object)
    small, large = (set(data_slice(posts, share, seed).tolist()) for share in sorted((one, other)))
    assert small <= large
    for rows in (small, large):
        assert {posts[row] for row in rows}.isdisjoint(posts[row] for row in range(len(posts)) if row not in rows)


@given(posts_lists, st.floats(0.01, 1.0), st.integers(0, 1000))
@settings(max_examples=60)
def test_a_slice_has_its_share_of_the_posts(numbers: list[int], fraction: float, seed: int) -> None:
    posts = np.array([f"s_{number}" for number in numbers], dtype=object)
    kept = {posts[row] for row in data_slice(posts, fraction, seed)}
    assert 0 <= len(kept) - fraction * len(set(numbers)) < 1 + 1e-6


def test_a_slice_does_not_depend_on_the_order_of_the_rows_and_the_whole_is_everything() -> None:
    posts = np.array([f"s_{number}" for number in range(100)] * 2, dtype=object)
    order = np.random.default_rng(0).permutation(200)
    assert set(posts[data_slice(posts, 0.3, 5)]) == set(posts[order][data_slice(posts[order], 0.3, 5)])
    assert set(posts[data_slice(posts, 0.3, 5)]) != set(posts[data_slice(posts, 0.3, 6)])
    assert data_slice(posts, 1.0, 5).tolist() == list(range(200))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01])
def test_a_share_outside_its_range_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        data_slice(np.array(["a"], dtype=object), fraction, 0)
