"""A variant takes the place of its sentence exactly; nothing else of the text changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.augmentation.splicing import splice

pieces = st.lists(st.text(max_size=12), min_size=1, max_size=7)


@given(pieces, st.data(), st.text(max_size=20))
def test_the_text_outside_is_untouched_and_every_span_holds_what_it_held(
    parts: list[str], data: st.DataObject, variant: str
) -> None:
    # Every second piece is evidence, so that spans do not overlap; some are empty.
    starts = [sum(map(len, parts[:number])) for number in range(len(parts))]
    spans = [(starts[number], starts[number] + len(parts[number])) for number in range(0, len(parts), 2)]
    chosen = data.draw(st.integers(0, len(spans) - 1))
    text = "".join(parts)
    if spans.count(spans[chosen]) > 1:
        return
    new_text, new_spans = splice(text, spans, spans[chosen], variant)
    expected = [variant if 2 * chosen == number else part for number, part in enumerate(parts)]
    assert new_text == "".join(expected)
    assert [new_text[start:end] for start, end in new_spans] == expected[::2]


def test_a_whole_text_without_spans_becomes_the_variant() -> None:
    assert splice("all of it", [], (0, 9), "其他 😀") == ("其他 😀", [])


def test_offsets_count_characters_not_bytes() -> None:
    text = "😭😭 i cry. tired."
    assert splice(text, [(3, 9), (10, 16)], (3, 9), "I weep!!") == ("😭😭 I weep!! tired.", [(3, 11), (12, 18)])


@pytest.mark.parametrize("place", [(0, 99), (5, 4), (-1, 3)])
def test_a_place_outside_the_text_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not inside a text of 9 characters"):
        splice("all of it", [], place, "x")


def test_an_overlapping_span_is_refused() -> None:
    with pytest.raises(ValueError, match="span 2-6 overlaps 0-4"):
        splice("all of it", [(0, 4), (2, 6)], (0, 4), "x")
