"""Evidence alignment: the span is the sentence, wherever and however it was written."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evidence_hpo.data.alignment import align_annotations, align_sentence

POST = (
    "I used to enjoy football.  Now I can’t even watch a match – nothing feels good any more!\n"
    "My mother says I should eat. I lost eleven pounds since March; my clothes hang on me.\n"
    "At night I lie awake until four, and in the morning I cannot get up."
)
words = st.text(alphabet="abcdefghij", min_size=2, max_size=7)
sentences = st.lists(words, min_size=3, max_size=8).map(" ".join)
posts = st.lists(sentences, min_size=1, max_size=6, unique=True)


def found(sentence: str, post: str = POST, threshold: float = 80.0) -> tuple[str, str | None]:
    alignment = align_sentence(post, sentence, threshold)
    return alignment.kind, None if alignment.start is None else post[alignment.start : alignment.end]


@pytest.mark.parametrize(
    ("sentence", "kind", "span"),
    [
        ("My mother says I should eat.", "exact", "My mother says I should eat."),
        ("  My mother says I should eat. ", "exact", "My mother says I should eat."),
        ("my mother says i should EAT", "normalised", "My mother says I should eat"),
        (
            "I can't even watch a match - nothing feels good",
            "normalised",
            "I can’t even watch a match – nothing feels good",
        ),
        ("football. now", "normalised", "football.  Now"),
        ("I have lost eleven pounds since March", "fuzzy", "I lost eleven pounds since March;"),
        ("Since March I lost eleven pounds;", "fuzzy", "I lost eleven pounds since March;"),
        ("At nite I lie awake untill four and in the moring I cant get up", "fuzzy", POST.split("\n")[2]),
        (
            "Because I lost eleven pounds ever since last March my clothes just hang on me",
            "fuzzy",
            "I lost eleven pounds since March; my clothes hang on me.",
        ),
        ("My cat likes the neighbour's garden.", "none", None),
    ],
)
def test_sentences_are_found(sentence: str, kind: str, span: str | None) -> None:
    assert found(sentence) == (kind, span)


def test_the_threshold_decides_what_is_fuzzy() -> None:
    sentence = "I have lost eleven pounds since March"
    score = align_sentence(POST, sentence, 50.0).score
    assert 80.0 < score < 100.0
    assert align_sentence(POST, sentence, score).kind == "fuzzy"
    missed = align_sentence(POST, sentence, score + 0.01)
    assert (missed.kind, missed.start, missed.end) == ("none", None, None)
    assert missed.score == score


def test_a_word_is_never_cut() -> None:
    assert found("I ate", "Amelia ate; I atecake", 100.0) == ("none", None)
    assert found("tired", "retired and tired", 80.0) == ("exact", "tired")
    assert found("cafe", "cafe\u0301 or cafe", 80.0) == ("exact", "cafe")


@given(posts, st.data())
def test_a_sentence_of_the_post_is_found_exactly(lines: list[str], data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(lines))
    post = ". ".join(lines) + "."
    alignment = align_sentence(post, sentence, 80.0)
    assert alignment.kind == "exact"
    assert post[alignment.start : alignment.end] == sentence


@given(posts, st.data())
def test_case_spaces_and_quotes_do_not_matter(lines: list[str], data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(lines))
    post = ".\n\n".join(f"“{line.upper()}”".replace(" ", "\u00a0 ") for line in lines)
    alignment = align_sentence(post, f'"{sentence}"', 100.0)
    assert alignment.kind == "normalised"
    span = post[alignment.start : alignment.end]
    assert span.lower().split() == f"“{sentence}”".split()


@given(posts, sentences, st.floats(50.0, 100.0))
def test_a_span_is_whole_words_without_spaces_around_them(lines: list[str], sentence: str, threshold: float) -> None:
    post = " ".join(f"{line}." for line in lines)
    alignment = align_sentence(post, sentence, threshold)
    assume(alignment.start is not None and alignment.end is not None)
    start, end = alignment.start or 0, alignment.end or 0
    assert 0 <= start < end <= len(post)
    assert post[start:end] == post[start:end].strip()
    for offset in (start, end):
        assert offset in (0, len(post)) or not (post[offset - 1].isalnum() and post[offset].isalnum())
    assert alignment.score >= threshold


def test_nothing_but_invisible_characters_is_not_aligned() -> None:
    assert found("\u200b \u00ad") == ("none", None)
    assert found("a", "\u200b") == ("none", None)


def test_a_table_keeps_its_rows_and_order() -> None:
    annotations = pd.DataFrame(
        {"post_id": ["b", "a", "b"], "sentence_text": ["two", "MISSING WHOLLY", "ONE"], "criterion": ["x", "y", "z"]}
    )
    table = pd.DataFrame({"post_id": ["a", "b"], "text": ["Some thing", "one. two."]})
    aligned = align_annotations(table, annotations, 80.0)
    assert aligned["criterion"].tolist() == ["x", "y", "z"]
    assert aligned["alignment"].tolist() == ["exact", "none", "normalised"]
    assert aligned["start"].fillna(-1).tolist() == [5, -1, 0]


def test_a_long_post_is_searched_in_milliseconds() -> None:
    post = " ".join(f"This is sentence {n} of a very long post about day {n * 7}." for n in range(700))
    started = time.perf_counter()
    assert found("This was sentense 650 in a very long post on day 4550", post)[0] == "fuzzy"
    assert time.perf_counter() - started < 2.0
