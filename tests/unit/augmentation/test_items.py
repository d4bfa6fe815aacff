"""Which sentences of the training examples are varied."""

from __future__ import annotations

import pyarrow as pa

from evidence_hpo.augmentation.banks import own_part
from evidence_hpo.augmentation.items import Item, items_of
from evidence_hpo.data.tables import EXAMPLES

ROWS = [
    ("p2|SLEEP", "No sleep. So tired 😭. Food is fine.", 1, [(0, 9), (10, 21)]),
    ("p1|MOOD", "Nothing to say.", 0, []),
    ("p1|SLEEP", "Nothing to say.", 1, [(0, 15)]),
]


def examples() -> pa.Table:
    columns = {
        "example_id": [row[0] for row in ROWS],
        "post_id": [row[0].split("|")[0] for row in ROWS],
        "criterion": [row[0].split("|")[1] for row in ROWS],
        "text": [row[1] for row in ROWS],
        "label": [row[2] for row in ROWS],
        "spans": [[{"start": start, "end": end} for start, end in row[3]] for row in ROWS],
    }
    return pa.table(columns, schema=EXAMPLES)


def test_items_are_the_spans_of_positive_examples_in_order() -> None:
    assert items_of(examples(), whole_text=False) == [
        Item("p1|SLEEP#0-15", "p1|SLEEP", 0, 15, "Nothing to say."),
        Item("p2|SLEEP#0-9", "p2|SLEEP", 0, 9, "No sleep."),
        Item("p2|SLEEP#10-21", "p2|SLEEP", 10, 21, "So tired 😭."),
    ]


def test_a_whole_text_is_an_item_whatever_its_label() -> None:
    found = items_of(examples(), whole_text=True)
    assert [item.item_id for item in found] == ["p1|MOOD#0-15", "p1|SLEEP#0-15", "p2|SLEEP#0-35"]
    assert [item.text for item in found] == ["Nothing to say.", "Nothing to say.", ROWS[0][1]]


def test_parts_divide_the_sentences_evenly_and_keep_equal_ones_together() -> None:
    items = [Item(f"{n}#0-1", str(n), 0, 1, f"sentence {n % 41}") for n in range(100)]
    parts = [own_part(items, part, 4) for part in range(4)]
    assert sorted(item.item_id for part in parts for item in part) == sorted(item.item_id for item in items)
    texts = [{item.text for item in part} for part in parts]
    assert sorted(map(len, texts)) == [10, 10, 10, 11]
    assert sum(map(len, texts)) == 41
    assert parts[2] == [item for item in items if item.text in texts[2]]
    assert own_part(list(reversed(items)), 2, 4) == list(reversed(parts[2]))
