"""Variants that are no use are rejected, with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo import schemas
from evidence_hpo.augmentation.negation import count_negations, has_negation
from evidence_hpo.augmentation.rejection import REASONS, Judge

SCHEMAS = Path(schemas.__file__).parent
SENTENCE = "I haven't slept, and nobody cares."


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("", "empty"),
        (" \n\u00a0", "empty"),
        (SENTENCE, "unchanged"),
        ("I  haven't slept,\nand nobody cares. ", "unchanged"),
        ("I have slept, and nobody cares.", "negation"),
        ("I haven't slept, and nobody never cares.", "negation"),
        ("I haven't slept, and everybody cares.", "negation"),
        ("I havven't slept, and nobody cares.", None),
        ("i haven't slept, and nobody cares.", None),
        ("I have not slept, and nobody cares.", None),
        ("I havent slept, and nobody cares.", None),
        ("I haven’t slept, and nobody cares!", None),
    ],
)
def test_one_variant(variant: str, reason: str | None) -> None:
    assert Judge(SENTENCE).reason_against(variant, SENTENCE) == reason


def test_the_same_variant_twice_is_a_duplicate_and_a_rejected_one_does_not_count() -> None:
    judge = Judge(SENTENCE)
    assert judge.reason_against("I slept.", SENTENCE) == "negation"
    assert judge.reason_against("Haven't slept, nobody.", SENTENCE) is None
    assert judge.reason_against("Haven't  slept, nobody.", SENTENCE) == "duplicate"
    assert judge.reason_against("haven't slept, nobody.", SENTENCE) is None


def test_a_chained_variant_must_differ_from_its_source_and_from_the_sentence() -> None:
    judge = Judge("I am sad today.")
    assert judge.reason_against("I am sad today!", "I am sad today!") == "unchanged"
    assert judge.reason_against("I am sad today.", "I am sad today!") == "unchanged"


def test_composed_and_decomposed_characters_are_the_same_text() -> None:
    assert Judge("été à Paris").reason_against("e\u0301te\u0301 a\u0300 Paris", "été à Paris") == "unchanged"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("I know a knot in the notes of Norway; annotate nothingness", 0),
        ("I can't. I cant. I cannot. I can not.", 4),
        ("don't don’t donʼt don＇t dont DON'T", 6),
        ("do n't", 1),
        ("no, not, never, none, nobody, nothing, nowhere, neither, nor, without", 10),
        ("hardly barely scarcely", 3),
        ("He denies low mood; lacks energy", 2),
        ("no-one", 1),
        ("难过 😭 لا", 0),
    ],
)
def test_negations_are_counted_as_words(text: str, count: int) -> None:
    assert count_negations(text) == count
    assert has_negation(text) == (count > 0)


@given(st.lists(st.sampled_from(["I", "feel", "sad", "never", "not", "can't", "😭"]), max_size=12), st.data())
def test_a_variant_that_keeps_all_words_but_one_negation_is_rejected(words: list[str], data: st.DataObject) -> None:
    negations = [number for number, word in enumerate(words) if word in ("never", "not", "can't")]
    if not negations or len(words) < 2:
        return
    gone = data.draw(st.sampled_from(negations))
    variant = " ".join(word for number, word in enumerate(words) if number != gone)
    assert Judge(" ".join(words)).reason_against(variant, " ".join(words)) == "negation"


def test_the_schemas_know_the_reasons() -> None:
    for name in ("augmentation_record", "augmentation_summary"):
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
        counts = schema["properties"] if name == "augmentation_record" else schema["$defs"]["counts"]["properties"]
        assert tuple(counts["rejected"]["required"]) == REASONS
