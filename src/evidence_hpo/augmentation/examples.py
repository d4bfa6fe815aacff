"""Training examples with the variants of a bank in the place of their evidence sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from evidence_hpo.augmentation.items import Item, items_of
from evidence_hpo.augmentation.splicing import Span, splice
from evidence_hpo.errors import DataError

__all__ = ["varied_examples"]

_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_COLUMNS = {
    "example_id": pa.string(),
    "post_id": pa.string(),
    "criterion": pa.string(),
    "label": pa.int8(),
    "spans": pa.list_(_SPAN),
    "item": pa.string(),
    "source_method": pa.string(),
    "source_level": pa.int8(),
    "variant": pa.int8(),
    "own": pa.int8(),
}


@dataclass(frozen=True)
class _Examples:
    """The examples that can be varied, and the examples without evidence by post."""

    by_id: Mapping[str, Mapping[str, Any]]
    unmet: Mapping[str, Sequence[Mapping[str, Any]]]
    items: Mapping[str, Item]

    @classmethod
    def of(cls, examples: pa.Table, evidence: pa.Table, *, whole_text: bool) -> _Examples:
        rows = examples.select(["example_id", "post_id", "criterion", "text", "label", "spans"]).to_pylist()
        unmet: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows if not whole_text else ():
            if row["label"] == 0:
                unmet[row["post_id"]].append(row)
        items = {item.item_id: item for item in items_of(evidence, whole_text=whole_text)}
        return cls({row["example_id"]: row for row in rows}, unmet, items)


def varied_examples(
    examples: pa.Table, evidence: pa.Table, bank: pa.Table, *, whole_text: bool, where: str
) -> pa.Table:
    """Return a row for each variant of each example, in the order of the bank.

    Args:
        examples: Training examples: example_id, post_id, criterion, text, label, spans; sorted by example_id.
        evidence: The examples whose sentences the bank varies: the same, or for criteria of whole posts the evidence
            examples, which say where the evidence is and have the same ids.
        bank: Rows of a bank; those without a text are passed over.
        whole_text: The text of an example is what is varied (criteria examples of one sentence), not its spans.
        where: Name of the bank, for errors.

    Returns:
        The columns of the examples, the text dictionary-encoded, and item, source_method, source_level, variant and
        ``own``: 1 for the example that the sentence is evidence of; each is followed by the examples of the same post
        without evidence, with the same altered text and ``own`` 0, so that an alteration need not mean evidence. There
        are none of these where whole texts are varied.

    Raises:
        DataError: The bank holds an evidence sentence that the examples do not have.
    """
    known = _Examples.of(examples, evidence, whole_text=whole_text)
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    texts: dict[str, int] = {}
    indices: list[int] = []
    for text, row in _rows(known, bank, where):
        indices.append(texts.setdefault(text, len(texts)))
        for name, values in columns.items():
            values.append(row[name])
    encoded = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(texts), pa.string()))
    arrays = {name: pa.array(columns[name], kind) for name, kind in _COLUMNS.items()}
    return pa.table({**arrays, "text": encoded})


def _rows(known: _Examples, bank: pa.Table, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the altered text and the columns of each row."""
    for made in bank.to_pylist():
        if made["text"] is None:
            continue
        item = known.items.get(made["item_id"])
        if item is None or item.example_id not in known.by_id:
            raise DataError(
                f"{where}: {made['item_id']} is no evidence sentence of the training examples; run it again"
            )
        example = known.by_id[item.example_id]
        spans = [(span["start"], span["end"]) for span in example["spans"]]
        text, moved = splice(example["text"], spans, (item.start, item.end), made["text"])
        variant = {
            "item": item.item_id,
            **{name: made[name] for name in ("source_method", "source_level", "variant")},
        }
        yield text, {**example, **variant, "spans": _structs(moved), "own": 1}
        for other in known.unmet.get(example["post_id"], ()):
            yield text, {**other, **variant, "spans": [], "own": 0}


def _structs(spans: Sequence[Span]) -> list[dict[str, int]]:
    return [{"start": start, "end": end} for start, end in spans]
