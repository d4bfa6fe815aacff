from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence_hpo.errors import DataError
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.features import MIN_ROOM, Features, assemble, build_features

Factory = Callable[..., TokenCache]
Gold = list[tuple[int, int]]

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, Gold]]]:
    """Draw criteria's lengths, and examples as (criterion, text length, character spans)."""
    criteria = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    examples = []
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(0, 120))
        cuts = sorted(draw(st.sets(st.integers(0, 10 * length), max_size=6))) if length else []
        spans = list(zip(cuts[0::2], cuts[1::2], strict=False))
        examples.append((draw(st.integers(0, len(criteria) - 1)), length, spans))
    return criteria, examples


def token_spans(spans: Gold) -> Gold:
    """Tokens that overlap a span, first and last, where token k covers 10 k to 10 k + 9."""
    found = []
    for start, end in spans:
        tokens = [k for k in range(200) if 10 * k < end and 10 * k + 9 > start]
        if tokens:
            found.append((tokens[0], tokens[-1]))
    return found


def windows(cache: TokenCache, features: Features, example: int) -> list[tuple[int, int]]:
    """Windows of an example as (first token, number of tokens) within its text."""
    begin = int(cache.row_begin[cache.text_rows[example]])
    mine = features.example == example
    pairs = zip(features.text_begin[mine], features.text_length[mine], strict=True)
    return [(int(first) - begin, int(length)) for first, length in pairs]


@quick
@given(corpora(), st.integers(21, 60), st.floats(0.0, 0.75))
def test_windows_cover_every_token_and_overlap_as_asked(
    cache_by_hand: Factory, corpus: tuple[list[int], list[tuple[int, int, Gold]]], max_length: int, overlap: float
) -> None:
    criteria, examples = corpus
    cache = cache_by_hand(criteria, examples)
    features = build_features(cache, np.arange(len(cache)), max_length=max_length, overlap=overlap)
    assert features.length.max() <= max_length
    for number, (criterion, length, _) in enumerate(examples):
        room = max_length - 3 - criteria[criterion]
        stride = max(1, int(np.floor(room * (1 - overlap))))
        found = windows(cache, features, number)
        assert {k for first, size in found for k in range(first, first + size)} == set(range(length))
        assert [first for first, _ in found] == [stride * k for k in range(len(found))]
        assert all(size == room for _, size in found[:-1])
        assert all(first + size < length for first, size in found[:-1]), (
            "a window after the end of the text was reached"
        )


@quick
@given(corpora(), st.integers(21, 60), st.floats(0.0, 0.75))
def test_target_is_the_first_complete_span_or_else_the_larger_part_of_a_cut_one(
    cache_by_hand: Factory, corpus: tuple[list[int], list[tuple[int, int, Gold]]], max_length: int, overlap: float
) -> None:
    criteria, examples = corpus
    cache = cache_by_hand(criteria, examples)
    features = build_features(cache, np.arange(len(cache)), max_length=max_length, overlap=overlap)
    for index in range(len(features)):
        example = int(features.example[index])
        criterion, _, spans = examples[example]
        first = int(features.text_begin[index] - cache.row_begin[cache.text_rows[example]])
        last = first + int(features.text_length[index]) - 1
        gold = token_spans(spans)
        complete = [span for span in gold if first <= span[0] and span[1] <= last]
        parts = [(max(first, s), min(last, e)) for s, e in gold if s <= last and e >= first]
        large = [
            part
            for part, (s, e) in zip(parts, [g for g in gold if g[0] <= last and g[1] >= first], strict=True)
            if 2 * (part[1] - part[0] + 1) >= min(e - s + 1, last - first + 1)
        ]
        shift = 2 + criteria[criterion] - first
        expected = next(iter(complete), next(iter(large), None))
        target = (0, 0) if expected is None else (expected[0] + shift, expected[1] + shift)
        assert (features.start[index], features.end[index]) == target


@quick
@given(corpora(), st.integers(21, 60), st.floats(0.0, 0.75), st.randoms(use_true_random=False))
def test_assembled_inputs_equal_inputs_put_together_token_by_token(
    cache_by_hand: Factory,
    corpus: tuple[list[int], list[tuple[int, int, Gold]]],
    max_length: int,
    overlap: float,
    random: np.random.RandomState,
) -> None:
    criteria, examples = corpus
    cache = cache_by_hand(criteria, examples)
    features = build_features(cache, np.arange(len(cache)), max_length=max_length, overlap=overlap)
    index = np.array([random.randrange(len(features)) for _ in range(4)])  # type: ignore[attr-defined]
    batch = assemble(cache, features, index)
    longest = int(features.length[index].max())
    for row, window in enumerate(index):
        first = cache.input_ids[features.criterion_begin[window] :][: features.criterion_length[window]].tolist()
        part = slice(int(features.text_begin[window]), int(features.text_begin[window] + features.text_length[window]))
        second, padding = cache.input_ids[part].tolist(), longest - int(features.length[window])
        before, after = len(first) + 2, 1 + padding
        assert batch.input_ids[row].tolist() == [1, *first, 2, *second, 2] + [0] * padding
        assert batch.token_type_ids[row].tolist() == [0] * before + [1] * (len(second) + 1) + [0] * padding
        assert batch.attention_mask[row].tolist() == [1] * (longest - padding) + [0] * padding
        inside = [False] * (before - 1) + [True] * len(second) + [False] * after
        assert batch.context_mask[row].tolist() == [True, *inside]
        assert batch.char_starts[row].tolist() == [-1] * before + cache.starts[part].tolist() + [-1] * after
        assert batch.char_ends[row].tolist() == [-1] * before + cache.ends[part].tolist() + [-1] * after
    assert batch.example.tolist() == features.example[index].tolist()
    assert batch.labels.tolist() == cache.labels[batch.example].tolist()


def test_a_predicted_target_maps_back_to_the_gold_characters(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([4], [(0, 30, [(50, 79)])])
    features = build_features(cache, np.array([0]), max_length=64, overlap=0.0)
    batch = assemble(cache, features, np.array([0]))
    assert (batch.char_starts[0, batch.starts[0]], batch.char_ends[0, batch.ends[0]]) == (50, 79)


def test_criteria_examples_have_one_window_however_long_the_text(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([4], [(0, 500, []), (0, 3, []), (0, 0, [])], task="criteria")
    features = build_features(cache, np.array([2, 0, 1]), max_length=32, overlap=0.5)
    assert features.example.tolist() == [2, 0, 1]
    assert features.text_length.tolist() == [0, 25, 3]


def test_a_span_longer_than_a_window_is_the_target_of_the_windows_it_fills(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([1], [(0, 100, [(0, 1000)])])
    features = build_features(cache, np.array([0]), max_length=24, overlap=0.0)
    assert (features.start == 3).all()
    assert (features.end == 3 + features.text_length - 1).all()


def test_a_text_of_no_tokens_is_one_window_without_answer(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([2], [(0, 0, [])])
    features = build_features(cache, np.array([0]), max_length=16, overlap=0.25)
    batch = assemble(cache, features, np.array([0]))
    assert batch.input_ids.tolist() == [[1, 10, 11, 2, 2]]
    assert batch.context_mask.tolist() == [[True, False, False, False, False]]


def test_no_rows_give_no_windows(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([2], [(0, 5, [])])
    assert len(build_features(cache, np.array([], dtype=np.int64), max_length=16, overlap=0.25)) == 0


def test_a_criterion_that_leaves_no_room_is_named_with_the_length_that_would_do(cache_by_hand: Factory) -> None:
    cache = cache_by_hand([2, 20], [(0, 50, []), (1, 50, [])])
    with pytest.raises(DataError, match=r"max_length 30 .* criterion 'C1' .* use at least 31"):
        build_features(cache, np.arange(2), max_length=30, overlap=0.25)
    features = build_features(cache, np.arange(2), max_length=31, overlap=0.25)
    assert features.text_length[features.example == 1].max() == MIN_ROOM
