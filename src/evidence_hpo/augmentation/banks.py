"""Banks: all variants of the items by one method at one strength, and the files that hold them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evidence_hpo.augmentation.items import Item
from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_path, canonical_json, digest_bytes

__all__ = ["BANK", "BankName", "Request", "own_part", "read_bank", "requests_of", "write_bank"]

BANK = pa.schema(
    [
        ("item_id", pa.string()),
        ("source_method", pa.string()),
        ("source_level", pa.int8()),
        ("variant", pa.int8()),
        ("text", pa.string()),
        ("reason", pa.string()),
    ]
)
_FORMAT = "1"


@dataclass(frozen=True)
class BankName:
    """Which bank: the wildcards of its path, and the strength of its level."""

    task: str
    source: str
    method: str
    level: int
    strength: float


@dataclass(frozen=True)
class Request:
    """A variant that is asked for.

    Attributes:
        item_id: The item.
        source_method: Method of the variant that is varied once more; empty: the sentence itself is varied.
        source_level: Its level; -1 for the sentence itself.
        variant: Number of the variant.
        text: What is varied; None where the source was rejected.
        sentence: The item's own text.
    """

    item_id: str
    source_method: str
    source_level: int
    variant: int
    text: str | None
    sentence: str


def own_part(items: Iterable[Item], part: int, parts: int) -> list[Item]:
    """Return the items of one part, in their order.

    The digest of a sentence decides, so that equal sentences are varied once and a chained bank's part needs the same
    part of its sources alone; the sentences are ranked by it, so that parts are equally large.
    """
    items = list(items)
    ranked = sorted({item.text for item in items}, key=lambda text: (digest_bytes(text.encode()), text))
    own = set(ranked[part::parts])
    return [item for item in items if item.text in own]


def requests_of(items: Sequence[Item], variants: int, sources: pa.Table | None) -> list[Request]:
    """Return what a bank has to hold, sorted: variants of the items, or one of each row of ``sources``.

    Args:
        items: The items of this part.
        variants: Number of variants of each item; not used with ``sources``.
        sources: Rows of banks as :func:`read_bank` returns them, with the columns ``method`` and ``level``; rows of
            other items are skipped.
    """
    if sources is None:
        found = [Request(item.item_id, "", -1, v, item.text, item.text) for item in items for v in range(variants)]
    else:
        sentences = {item.item_id: item.text for item in items}
        names = ("item_id", "method", "level", "variant", "text")
        rows = zip(*(sources.column(name).to_pylist() for name in names), strict=True)
        found = [
            Request(item_id, method, level, variant, text, sentences[item_id])
            for item_id, method, level, variant, text in rows
            if item_id in sentences
        ]
    return sorted(found, key=lambda own: (own.item_id, own.source_method, own.source_level, own.variant))


def write_bank(path: Path, table: pa.Table, name: BankName, versions: dict[str, str]) -> str:
    """Write the rows of a bank as Parquet, atomically; equal input gives equal bytes.

    Returns:
        SHA-256 of the rows.
    """
    content = _content(table)
    described = {
        "format": _FORMAT,
        "task": name.task,
        "source": name.source,
        "method": name.method,
        "level": str(name.level),
        "strength": repr(name.strength),
        "versions": canonical_json(versions),
        "content": content,
    }
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(described), temporary, compression="zstd")
    return content


def read_bank(path: Path) -> tuple[pa.Table, BankName]:
    """Read a bank: its rows with the columns of ``BANK``, and which bank it is.

    Raises:
        DataError: The file is missing, is no bank of this version, or its content is damaged.
    """
    remedy = "delete it and run the workflow again"
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file; {remedy}") from error
    described = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if not table.schema.equals(BANK) or described.get("format") != _FORMAT:
        raise DataError(f"{path}: not a bank of this version; {remedy}")
    if _content(table) != described["content"]:
        raise DataError(f"{path}: damaged bank (its content differs from its digest); {remedy}")
    name = BankName(
        described["task"],
        described["source"],
        described["method"],
        int(described["level"]),
        float(described["strength"]),
    )
    return table.replace_schema_metadata(), name


def _content(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
    return digest.hexdigest()
