"""What is augmented: the evidence sentences of training examples."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

__all__ = ["Item", "items_of"]


@dataclass(frozen=True)
class Item:
    """An evidence sentence of one example.

    Attributes:
        item_id: ``{example_id}#{start}-{end}``.
        example_id: The example that it belongs to.
        start: Character offset of its first character in the example's text.
        end: Character offset after its last character.
        text: The sentence itself.
    """

    item_id: str
    example_id: str
    start: int
    end: int
    text: str


def items_of(examples: pa.Table, *, whole_text: bool) -> list[Item]:
    """Return the items of the examples, sorted by ``item_id``.

    Args:
        examples: Columns example_id, text, label, spans (character offsets in text), as ``build_examples`` writes them.
        whole_text: The text of every example is an item, whatever its label (criteria examples of one sentence); else
            each span of each example with label 1.
    """
    found = []
    names = ("example_id", "text", "label", "spans")
    columns = (examples.column(name).to_pylist() for name in names)
    for example_id, text, label, spans in zip(*columns, strict=True):
        if whole_text:
            places = [(0, len(text))]
        else:
            places = [(span["start"], span["end"]) for span in spans] if label == 1 else []
        found += [Item(f"{example_id}#{start}-{end}", example_id, start, end, text[start:end]) for start, end in places]
    return sorted(found, key=lambda item: item.item_id)
