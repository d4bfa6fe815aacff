"""From examples to the two tables of a token cache: every unique text and every criterion tokenised once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evidence_hpo.config.banks import Bank
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_json
from evidence_hpo.tokens.tables import (
    AUGMENTED_SCHEMA,
    EXAMPLES_SCHEMA,
    TEXTS_SCHEMA,
    BankMetadata,
    CacheMetadata,
    content_digest,
)
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

__all__ = ["tokenize_bank", "tokenize_table"]

_COLUMNS = ("example_id", "post_id", "criterion", "text", "label", "spans")
_ADDED = tuple(AUGMENTED_SCHEMA.names[len(EXAMPLES_SCHEMA) :])


def tokenize_table(
    examples: pa.Table,
    criteria: list[dict[str, Any]],
    tokenizer: PreparedTokenizer,
    *,
    task: str,
    backbone_digest: str,
    where: str,
) -> tuple[pa.RecordBatch, pa.RecordBatch, CacheMetadata]:
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
    _check(table, _COLUMNS, criteria, where)
    _check_unique(table, where)
    texts, rows, unique = _batches(table, criteria, tokenizer)
    metadata = _metadata(rows, unique, criteria, tokenizer, task, backbone_digest)
    return texts, rows, metadata


def tokenize_bank(
    examples: pa.Table,
    criteria: list[dict[str, Any]],
    tokenizer: PreparedTokenizer,
    *,
    bank: Bank,
    task: str,
    backbone_digest: str,
    where: str,
) -> tuple[pa.RecordBatch, pa.RecordBatch, BankMetadata]:
    """Tokenise the varied examples of a bank.

    Args:
        examples: The columns of :func:`tokenize_table`, and item, source_method, source_level, variant, own as in
            ``AUGMENTED_SCHEMA``; the text may be dictionary-encoded.
        criteria: Items with ``id`` and ``text``.
        tokenizer: The backbone's tokeniser.
        bank: Which bank.
        task: ``criteria`` or ``evidence``.
        backbone_digest: Digest of the backbone's directory.
        where: Name of the bank, for errors.

    Returns:
        As :func:`tokenize_table` does.

    Raises:
        DataError: A column or a criterion is missing, or a span is not inside its text.
    """
    table = examples.combine_chunks()
    _check(table, (*_COLUMNS, *_ADDED), criteria, where)
    texts, rows, unique = _batches(table, criteria, tokenizer)
    common = _metadata(rows, unique, criteria, tokenizer, task, backbone_digest)
    contents = {}
    for method, level in sorted(set(zip(*(table.column(name).to_pylist() for name in _ADDED[1:3]), strict=True))):
        chosen = pc.and_(pc.equal(table.column("source_method"), method), pc.equal(table.column("source_level"), level))
        part, own = _examples_batch(table.filter(chosen).combine_chunks(), criteria)
        contents[f"{method}/{level}"] = _metadata(part, own, criteria, tokenizer, task, backbone_digest).digest
    fields = {field.name: getattr(common, field.name) for field in dataclasses.fields(common)}
    return texts, rows, BankMetadata(**fields, **bank._asdict(), contents=contents)


def _batches(
    table: pa.Table, criteria: list[dict[str, Any]], tokenizer: PreparedTokenizer
) -> tuple[pa.RecordBatch, pa.RecordBatch, Any]:
    """Return the texts table, the examples table, and the unique texts."""
    rows, unique = _examples_batch(table, criteria)
    return _texts_batch(criteria, unique, tokenizer), rows, unique


def _metadata(
    rows: pa.RecordBatch,
    unique: Any,
    criteria: list[dict[str, Any]],
    tokenizer: PreparedTokenizer,
    task: str,
    backbone_digest: str,
) -> CacheMetadata:
    criteria_digest = digest_json([{"id": item["id"], "text": item["text"]} for item in criteria])
    parts = {
        "task": task,
        "examples": content_digest(rows),
        "texts": content_digest(pa.record_batch({"text": unique.cast(pa.string())})),
        "criteria": criteria_digest,
        "tokenizer": tokenizer.digest,
        "backbone": backbone_digest,
    }
    return CacheMetadata(
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


def _texts_batch(criteria: list[dict[str, Any]], unique: Any, tokenizer: PreparedTokenizer) -> pa.RecordBatch:
    encoded = tokenizer.encode([*(criterion["text"] for criterion in criteria), *unique.to_pylist()])
    kinds = ["criterion"] * len(criteria) + ["text"] * len(unique)
    begin = pa.array(encoded.begin)
    lists = [
        pa.ListArray.from_arrays(begin, pa.array(values), type=TEXTS_SCHEMA.field("input_ids").type)
        for values in (encoded.input_ids, encoded.starts, encoded.ends)
    ]
    return pa.record_batch([pa.array(kinds, pa.string()), *lists], schema=TEXTS_SCHEMA)


def _examples_batch(table: pa.Table, criteria: list[dict[str, Any]]) -> tuple[pa.RecordBatch, Any]:
    """Return the examples table and the unique texts, to whose rows, after the criteria's, it points.

    Columns of a bank follow where the examples have them.
    """
    ids = [criterion["id"] for criterion in criteria]
    text = _texts(table)
    spans = _column(table, "spans")
    offsets = spans.offsets.to_numpy()
    kind = EXAMPLES_SCHEMA.field("spans").type
    values = pa.StructArray.from_arrays(
        [pc.struct_field(spans.flatten(), name).cast(pa.int32()) for name in ("start", "end")],
        fields=list(kind.value_type),
    )
    columns = [
        *(_column(table, name).cast(pa.string()) for name in ("example_id", "post_id", "criterion")),
        pa.array(text.indices.to_numpy() + len(ids), pa.int32()),
        pc.index_in(_column(table, "criterion"), pa.array(ids, _column(table, "criterion").type)).cast(pa.int32()),
        _column(table, "label").cast(pa.int8()),
        pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), values, type=kind),
    ]
    schema = AUGMENTED_SCHEMA if _ADDED[0] in table.column_names else EXAMPLES_SCHEMA
    added = schema.names[len(columns) :]
    columns += [_column(table, name).cast(schema.field(name).type) for name in added]
    return pa.record_batch(columns, schema=schema), text.dictionary


def _texts(table: pa.Table) -> Any:
    """Return the text column as indices of unique texts, in the order of appearance."""
    text = _column(table, "text")
    if pa.types.is_dictionary(text.type):  # a filter leaves texts in its dictionary that are not used any more
        text = text.dictionary_decode()
    return text.dictionary_encode()


def _column(table: pa.Table, name: str) -> Any:
    """Return a column of a table as one array."""
    column = table.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _check(table: pa.Table, columns: Sequence[str], criteria: list[dict[str, Any]], where: str) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(f"{where}: column {', '.join(missing)} missing; run build_examples")
    empty = [name for name in columns if table.column(name).null_count]
    if empty:
        raise DataError(f"{where}: column {', '.join(empty)} has empty values; run build_examples")
    unknown = sorted(set(table.column("criterion").to_pylist()) - {criterion["id"] for criterion in criteria})
    if unknown:
        raise DataError(f"{where}: criterion {_listed(unknown)} is not in the criteria file")
    outside = _outside(table)
    if outside:
        raise DataError(f"{where}: spans of example {_listed(outside)} are not inside the text; run build_examples")


def _check_unique(table: pa.Table, where: str) -> None:
    counts = table.column("example_id").value_counts().to_pylist()
    twice = [item["values"] for item in counts if item["counts"] > 1]
    if twice:
        raise DataError(f"{where}: example_id {_listed(twice)} comes more than once")


def _outside(table: pa.Table) -> list[str]:
    """Return the ids of the examples with a span that is empty or leaves its text."""
    spans = _column(table, "spans")
    row = np.repeat(np.arange(len(spans)), np.diff(spans.offsets.to_numpy()))
    start, end = (pc.struct_field(spans.flatten(), name).to_numpy() for name in ("start", "end"))
    text = _texts(table)
    size = pc.utf8_length(text.dictionary).to_numpy()[text.indices.to_numpy()]
    wrong = np.unique(row[(start < 0) | (start >= end) | (end > size[row])])
    ids = _column(table, "example_id").to_pylist()
    return [ids[index] for index in wrong]


def _listed(ids: Iterable[str]) -> str:
    known = list(ids)
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return ", ".join(f"'{item}'" for item in known[:10]) + more
