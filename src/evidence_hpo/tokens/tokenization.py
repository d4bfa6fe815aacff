"""From examples to the two tables of a token cache: every unique text and every criterion tokenised once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_json
from evidence_hpo.tokens.tables import EXAMPLES_SCHEMA, TEXTS_SCHEMA, CacheMetadata, content_digest
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

__all__ = ["TokenTables", "tokenize_table"]

_COLUMNS = ("example_id", "post_id", "criterion", "text", "label", "spans")

TokenTables = tuple[pa.RecordBatch, pa.RecordBatch, CacheMetadata]


def tokenize_table(
    examples: pa.Table,
    criteria: list[dict[str, Any]],
    tokenizer: PreparedTokenizer,
    *,
    task: str,
    backbone_digest: str,
    where: str,
) -> TokenTables:
    """Tokenise examples.

    Args:
        examples: Columns example_id, post_id, criterion, text, label, spans (character offsets into text).
        criteria: Items with ``id`` and ``text``.
        tokenizer: The backbone's tokeniser.
        task: ``criteria`` or ``evidence``.
        backbone_digest: Digest of the backbone's directory.
        where: Name of the examples' file, for errors.

    Returns:
        The texts table (first a row for each criterion, in the order given, then one for each unique text, in the order
        of appearance), the examples table, and the metadata of both.

    Raises:
        DataError: A column or a criterion is missing, an id comes twice, or a span is not inside its text.
    """
    table = examples.combine_chunks()
    _check(table, {criterion["id"] for criterion in criteria}, where)
    encoded_texts = _column(table, "text").dictionary_encode()
    unique = encoded_texts.dictionary
    texts = _texts_batch(criteria, unique, tokenizer)
    rows = _examples_batch(table, [criterion["id"] for criterion in criteria], encoded_texts.indices)
    criteria_digest = digest_json([{"id": item["id"], "text": item["text"]} for item in criteria])
    parts = {
        "task": task,
        "examples": content_digest(rows),
        "texts": content_digest(pa.record_batch({"text": unique.cast(pa.string())})),
        "criteria": criteria_digest,
        "tokenizer": tokenizer.digest,
        "backbone": backbone_digest,
    }
    metadata = CacheMetadata(
        task=task,
        digest=digest_json(parts),
        backbone_digest=backbone_digest,
        tokenizer_digest=tokenizer.digest,
        criteria_digest=criteria_digest,
        cls=tokenizer.cls,
        sep=tokenizer.sep,
        pad=tokenizer.pad,
        token_types=tokenizer.token_types,
        template=tokenizer.template,
    )
    return texts, rows, metadata


def _texts_batch(criteria: list[dict[str, Any]], unique: Any, tokenizer: PreparedTokenizer) -> pa.RecordBatch:
    encoded = tokenizer.encode([*(criterion["text"] for criterion in criteria), *unique.to_pylist()])
    kinds = ["criterion"] * len(criteria) + ["text"] * len(unique)
    begin = pa.array(encoded.begin)
    lists = [
        pa.ListArray.from_arrays(begin, pa.array(values), type=TEXTS_SCHEMA.field("input_ids").type)
        for values in (encoded.input_ids, encoded.starts, encoded.ends)
    ]
    return pa.record_batch([pa.array(kinds, pa.string()), *lists], schema=TEXTS_SCHEMA)


def _examples_batch(table: pa.Table, criteria: list[str], text_index: Any) -> pa.RecordBatch:
    spans = _column(table, "spans")
    offsets = spans.offsets.to_numpy()
    kind = EXAMPLES_SCHEMA.field("spans").type
    values = pa.StructArray.from_arrays(
        [pc.struct_field(spans.flatten(), name).cast(pa.int32()) for name in ("start", "end")],
        fields=list(kind.value_type),
    )
    columns = [
        *(_column(table, name).cast(pa.string()) for name in ("example_id", "post_id", "criterion")),
        pa.array(text_index.to_numpy() + len(criteria), pa.int32()),
        pc.index_in(_column(table, "criterion"), pa.array(criteria, _column(table, "criterion").type)).cast(pa.int32()),
        _column(table, "label").cast(pa.int8()),
        pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), values, type=kind),
    ]
    return pa.record_batch(columns, schema=EXAMPLES_SCHEMA)


def _column(table: pa.Table, name: str) -> Any:
    """Return a column of a table as one array."""
    column = table.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _check(table: pa.Table, criteria: set[str], where: str) -> None:
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise DataError(f"{where}: column {', '.join(missing)} missing; run build_examples")
    empty = [name for name in _COLUMNS if table.column(name).null_count]
    if empty:
        raise DataError(f"{where}: column {', '.join(empty)} has empty values; run build_examples")
    unknown = sorted(set(table.column("criterion").to_pylist()) - criteria)
    if unknown:
        raise DataError(f"{where}: criterion {_listed(unknown)} is not in the criteria file")
    counts = table.column("example_id").value_counts().to_pylist()
    twice = [item["values"] for item in counts if item["counts"] > 1]
    if twice:
        raise DataError(f"{where}: example_id {_listed(twice)} comes more than once")
    outside = _outside(table)
    if outside:
        raise DataError(f"{where}: spans of example {_listed(outside)} are not inside the text; run build_examples")


def _outside(table: pa.Table) -> list[str]:
    """Return the ids of the examples with a span that is empty or leaves its text."""
    spans = _column(table, "spans")
    row = np.repeat(np.arange(len(spans)), np.diff(spans.offsets.to_numpy()))
    start, end = (pc.struct_field(spans.flatten(), name).to_numpy() for name in ("start", "end"))
    size = pc.utf8_length(_column(table, "text")).to_numpy()
    wrong = np.unique(row[(start < 0) | (start >= end) | (end > size[row])])
    ids = _column(table, "example_id").to_pylist()
    return [ids[index] for index in wrong]


def _listed(ids: Iterable[str]) -> str:
    known = list(ids)
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return ", ".join(f"'{item}'" for item in known[:10]) + more
