"""Examples: unique, labelled by what the annotations say, spans that are the evidence, null pairs that are honest."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.config.data import EvidenceExampleSettings, ExampleSettings
from evidence_hpo.data.examples import (
    build_criteria_examples,
    build_evidence_examples,
    build_examples,
    merge_spans,
)
from evidence_hpo.errors import DataError

CRITERIA = ["A", "B", "C"]
TEXT = "abcdefghij" * 3
spans = st.tuples(st.integers(0, 25), st.integers(1, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
# (post, criterion, status, span or None)
facts = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(CRITERIA), st.integers(0, 1), st.none() | spans), max_size=25
)


def nulls_of(ratio: float | None) -> EvidenceExampleSettings:
    return EvidenceExampleSettings(negatives_per_positive=ratio)


def tables(
    rows: list[tuple[int, str, int, tuple[int, int] | None]], posts: int = 6
) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pd.DataFrame({"post_id": [f"p{n}" for n in range(posts)], "text": [f"{TEXT}{n}" for n in range(posts)]})
    annotations = pd.DataFrame(
        {
            "post_id": [f"p{post}" for post, *_ in rows],
            "sentence_id": [f"s{number}" for number in range(len(rows))],
            "sentence_text": [f"sentence {number}" for number in range(len(rows))],
            "criterion": [criterion for _, criterion, *_ in rows],
            "status": pd.array([status for *_, status, _ in rows], dtype="Int8"),
            "start": pd.array([span and span[0] for *_, span in rows], dtype="Int32"),
            "end": pd.array([span and span[1] for *_, span in rows], dtype="Int32"),
        }
    )
    return table, annotations


@given(facts)
def test_sentences_become_one_example_each(rows: list[tuple[int, str, int, tuple[int, int] | None]]) -> None:
    posts, annotations = tables(rows)
    frame = build_criteria_examples("sentence", posts, annotations, CRITERIA).frame
    expected = {(f"s{n}|{row[1]}", f"p{row[0]}", row[1], f"sentence {n}", row[2]) for n, row in enumerate(rows)}
    columns = ["example_id", "post_id", "criterion", "text", "label"]
    assert set(frame[columns].itertuples(index=False, name=None)) == expected
    assert frame["example_id"].tolist() == sorted(frame["example_id"])
    assert not frame["spans"].map(len).any()


@given(facts)
def test_posts_become_one_example_per_criterion(rows: list[tuple[int, str, int, tuple[int, int] | None]]) -> None:
    posts, annotations = tables(rows)
    frame = build_criteria_examples("post", posts, annotations, CRITERIA).frame
    assert frame["example_id"].tolist() == sorted(f"p{n}|{c}" for n in range(6) for c in CRITERIA)
    positive = {f"p{post}|{criterion}" for post, criterion, status, _ in rows if status == 1}
    assert set(frame.loc[frame["label"] == 1, "example_id"]) == positive


@given(facts, st.integers(0, 5), st.none() | st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_evidence_examples_tell_the_truth(
    rows: list[tuple[int, str, int, tuple[int, int] | None]], seed: int, ratio: float | None
) -> None:
    posts, annotations = tables(rows)
    examples = build_evidence_examples(nulls_of(ratio), seed, posts, annotations, CRITERIA)
    frame = examples.frame
    with_evidence = {f"p{post}|{criterion}" for post, criterion, status, _ in rows if status == 1}
    marked: dict[str, set[int]] = {}
    for post, criterion, status, span in rows:
        if status == 1 and span is not None:
            marked.setdefault(f"p{post}|{criterion}", set()).update(range(*span))
    assert set(examples.left_out) == with_evidence - set(marked)
    assert set(frame.loc[frame["label"] == 1, "example_id"]) == set(marked)
    nulls = set(frame.loc[frame["label"] == 0, "example_id"])
    assert not nulls & with_evidence, "a pair with evidence never becomes null"
    everything = 6 * len(CRITERIA) - len(with_evidence)
    wanted = everything if ratio is None else min(everything, round(ratio * len(marked)))
    assert len(nulls) == wanted
    for row in frame.itertuples():
        covered = {position for span in row.spans for position in range(span["start"], span["end"])}
        assert covered == marked.get(row.example_id, set())


@given(facts, st.integers(0, 5), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_explicit_negatives_are_at_most_their_share_while_there_are_others(
    rows: list[tuple[int, str, int, tuple[int, int] | None]], seed: int, share: float
) -> None:
    posts, annotations = tables(rows)
    settings = EvidenceExampleSettings(negatives_per_positive=1.0, explicit_negative_share=share)
    frame = build_evidence_examples(settings, seed, posts, annotations, CRITERIA).frame
    nulls = set(frame.loc[frame["label"] == 0, "example_id"])
    pairs = {status: {f"p{post}|{criterion}" for post, criterion, s, _ in rows if s == status} for status in (0, 1)}
    explicit = pairs[0] - pairs[1]
    others = 6 * len(CRITERIA) - len(pairs[1] | explicit)
    marked = len(nulls & explicit)
    assert marked >= min(len(explicit), round(share * len(nulls)))
    assert marked <= round(share * len(nulls)) or len(nulls) - marked == others


def test_the_seed_chooses_the_null_pairs_and_the_order_of_posts_does_not() -> None:
    posts, annotations = tables([(n, "A", 1, (0, 3)) for n in range(10)], posts=40)

    def nulls(seed: int, table: pd.DataFrame) -> list[str]:
        frame = build_evidence_examples(nulls_of(1.0), seed, table, annotations, CRITERIA).frame
        return frame.loc[frame["label"] == 0, "example_id"].tolist()

    assert nulls(1, posts) == nulls(1, posts[::-1])
    assert nulls(1, posts) != nulls(2, posts)


@given(st.lists(spans, max_size=8))
def test_merged_spans_cover_the_same_characters_apart_from_each_other(given_spans: list[tuple[int, int]]) -> None:
    merged = merge_spans(given_spans)
    assert {p for span in merged for p in range(*span)} == {p for span in given_spans for p in range(*span)}
    assert all(first[1] < second[0] for first, second in itertools.pairwise(merged))


def test_a_pair_keeps_the_evidence_that_could_be_aligned() -> None:
    posts, annotations = tables([(0, "A", 1, None), (0, "A", 1, (4, 9)), (0, "A", 0, (20, 22))])
    examples = build_evidence_examples(nulls_of(0.0), 0, posts, annotations, CRITERIA)
    assert examples.frame["spans"].tolist() == [[{"start": 4, "end": 9}]]
    assert examples.left_out == []


def test_no_positive_is_an_error_that_says_what_was_lost() -> None:
    posts, annotations = tables([(0, "A", 1, None), (1, "A", 0, None)])
    with pytest.raises(
        DataError, match=r"evidence task: 6 posts with 2 annotations give .* 1 pairs with evidence that"
    ):
        build_examples(ExampleSettings(), "evidence", 0, posts, annotations, CRITERIA)
    with pytest.raises(DataError, match=r"criteria task: 6 posts with 0 annotations give 0 examples, none positive"):
        build_examples(ExampleSettings(), "criteria", 0, posts, annotations[:0], CRITERIA)
