"""Training examples with variants in the place of their evidence."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.augmentation.banks import BANK
from evidence_hpo.augmentation.examples import varied_examples
from evidence_hpo.augmentation.items import items_of
from evidence_hpo.errors import DataError

SPAN = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))


def examples(*rows: tuple[str, str, int, list[tuple[int, int]]]) -> pa.Table:
    """Return examples of (``post|criterion``, text, label, spans)."""
    spans = [[{"start": start, "end": end} for start, end in own] for *_, own in rows]
    return pa.table(
        {
            "example_id": [name for name, *_ in rows],
            "post_id": [name.split("|")[0] for name, *_ in rows],
            "criterion": [name.split("|")[1] for name, *_ in rows],
            "text": pa.array([text for _, text, *_ in rows], pa.string()),
            "label": pa.array([label for _, _, label, _ in rows], pa.int8()),
            "spans": pa.array(spans, SPAN),
        }
    )


def bank(*rows: tuple[str, int, str | None]) -> pa.Table:
    """Return a bank of (item, number, text)."""
    full = [(item, "", -1, number, text, None if text else "unchanged") for item, number, text in rows]
    return pa.table([list(column) for column in zip(*full, strict=True)], schema=BANK)


POST = "Well. I lie awake. Nothing is fun. 🙂"
SLEEP, MOOD = (6, 18), (19, 34)
GIVEN = examples(
    ("a|FOOD", POST, 0, []),
    ("a|MOOD", POST, 1, [MOOD]),
    ("a|SLEEP", POST, 1, [SLEEP, MOOD]),
    ("b|SLEEP", "Other post.", 0, []),
)


def test_each_variant_takes_the_place_of_its_sentence_alone() -> None:
    made = bank(("a|MOOD#19-34", 0, "No fun!"), ("a|SLEEP#6-18", 0, None), ("a|SLEEP#6-18", 1, "I am up, wide awake."))
    found = varied_examples(GIVEN, GIVEN, made, whole_text=False, where="bank").to_pylist()
    own = [row for row in found if row["own"]]
    assert [(row["example_id"], row["variant"], row["text"]) for row in own] == [
        ("a|MOOD", 0, "Well. I lie awake. No fun! 🙂"),
        ("a|SLEEP", 1, "Well. I am up, wide awake. Nothing is fun. 🙂"),
    ]
    assert [[row["text"][span["start"] : span["end"]] for span in row["spans"]] for row in own] == [
        ["No fun!"],
        ["I am up, wide awake.", "Nothing is fun."],
    ]
    assert all(row["label"] == 1 for row in own)


def test_the_altered_post_follows_with_the_criteria_that_it_does_not_meet() -> None:
    made = bank(("a|MOOD#19-34", 0, "No fun!"), ("a|SLEEP#6-18", 0, "I am up."))
    found = varied_examples(GIVEN, GIVEN, made, whole_text=False, where="bank")
    rows = [(row["example_id"], row["own"], row["label"], row["spans"] == []) for row in found.to_pylist()]
    assert rows == [("a|MOOD", 1, 1, False), ("a|FOOD", 0, 0, True), ("a|SLEEP", 1, 1, False), ("a|FOOD", 0, 0, True)]
    texts = found.column("text").to_pylist()
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert len(found.column("text").combine_chunks().dictionary) == 2, "each text is held once"


def test_sentences_of_criteria_have_no_spans_and_keep_their_label() -> None:
    sentences = examples(("a_1|SLEEP", "I lie awake.", 1, []), ("a_2|SLEEP", "I slept well.", 0, []))
    made = bank(("a_1|SLEEP#0-12", 0, "I am up."), ("a_2|SLEEP#0-13", 0, "I did sleep."))
    found = varied_examples(sentences, sentences, made, whole_text=True, where="bank").to_pylist()
    assert [(row["text"], row["label"], row["spans"], row["own"]) for row in found] == [
        ("I am up.", 1, [], 1),
        ("I did sleep.", 0, [], 1),
    ]


def test_criteria_of_whole_posts_are_varied_where_the_evidence_is() -> None:
    posts = examples(("a|FOOD", POST, 0, []), ("a|SLEEP", POST, 1, []))
    evidence = examples(("a|SLEEP", POST, 1, [SLEEP]))
    found = varied_examples(
        posts, evidence, bank(("a|SLEEP#6-18", 0, "I am up.")), whole_text=False, where="bank"
    ).to_pylist()
    assert [(row["example_id"], row["text"], row["label"], row["spans"]) for row in found] == [
        ("a|SLEEP", "Well. I am up. Nothing is fun. 🙂", 1, []),
        ("a|FOOD", "Well. I am up. Nothing is fun. 🙂", 0, []),
    ]


def test_a_bank_of_other_examples_is_named() -> None:
    with pytest.raises(DataError, match=r"banks/x: c\|SLEEP#0-3 is no evidence sentence of the training examples"):
        varied_examples(GIVEN, GIVEN, bank(("c|SLEEP#0-3", 0, "No.")), whole_text=False, where="banks/x")


@given(st.data())
def test_what_is_outside_the_sentence_is_untouched(data: st.DataObject) -> None:
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    before, between, after = data.draw(texts), data.draw(texts), data.draw(texts)
    first, second = (data.draw(texts.filter(bool)) for _ in range(2))
    text = before + first + between + second + after
    ends = len(before), len(before + first), len(before + first + between), len(before + first + between + second)
    table = examples(("a|SLEEP", text, 1, [(ends[0], ends[1]), (ends[2], ends[3])]), ("a|FOOD", text, 0, []))
    variant = data.draw(texts.filter(bool))
    made = bank(*((item.item_id, 0, variant) for item in items_of(table, whole_text=False)))
    found = varied_examples(table, table, made, whole_text=False, where="bank").to_pylist()
    expected = {
        f"a|SLEEP#{ends[0]}-{ends[1]}": (before + variant + between + second + after, [variant, second]),
        f"a|SLEEP#{ends[2]}-{ends[3]}": (before + first + between + variant + after, [first, variant]),
    }
    for row in found:
        whole, spans = expected[row["item"]]
        assert row["text"] == whole
        if row["own"]:
            assert [row["text"][span["start"] : span["end"]] for span in row["spans"]] == spans
