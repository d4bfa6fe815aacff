"""Normalised text and its way back to the original."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.data.normalisation import normalise

# Letters with and without marks, ligatures, quotes, dashes, invisible characters and white space of many kinds.
alphabet = st.sampled_from([*"aBéßﬁ½ⅣA\u0301\u0327İ ’“”–—…\u200b\ufeff\u00ad\u00a0\t\n\r`'\".,-1你가", "e\u0301"])
texts = st.lists(alphabet, max_size=40).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("I Can’t\n sleep", "i can't sleep"),
        ("caf\u00e9", "CAFE\u0301"),
        ("“So — tired”…", '"so - tired"...'),
        ("ﬁne ½", "fine 1⁄2"),
        ("a\u00a0\u200b b", "A B"),
        ("STRASSE", "straße"),
        ("a\u200b\u0301 b", "\u00e1 b"),
    ],
)
def test_two_spellings_of_one_sentence_become_equal(first: str, second: str) -> None:
    assert normalise(first).text == normalise(second).text


@given(texts)
def test_every_character_points_into_the_original_in_order(text: str) -> None:
    found = normalise(text)
    assert len(found.starts) == len(found.ends) == len(found.text)
    assert all(0 <= start < end <= len(text) for start, end in zip(found.starts, found.ends, strict=True))
    assert found.starts == sorted(found.starts)
    assert found.ends == sorted(found.ends)


@given(texts)
def test_the_original_of_a_character_contains_what_it_was_made_of(text: str) -> None:
    found = normalise(text)
    for position, character in enumerate(found.text):
        start, end = found.original(position, position + 1)
        assert character == " " or character in normalise(text[start:end]).text


@given(texts)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text).text
    assert normalise(once).text == once


@given(texts)
def test_spaces_are_single_and_never_at_an_end(text: str) -> None:
    found = normalise(text).text
    assert found == " ".join(found.split())


@given(texts)
def test_no_original_span_splits_a_letter_from_its_marks(text: str) -> None:
    found = normalise(text)
    for start in found.starts:
        assert start == 0 or not unicodedata.combining(text[start]) or text[start - 1].isspace()
