"""The two Arrow files of a token cache or a tokenised bank: their columns, their metadata, writing, checked reading.

Both files are uncompressed Arrow IPC files of one record batch, so that a reader maps them into memory and views the
flat arrays of the list columns without a copy. They hold token ids and character offsets, never the text itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import pyarrow as pa

from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_path, canonical_json
from evidence_hpo.tokens.template import PairTemplate

__all__ = [
    "AUGMENTED_SCHEMA",
    "EXAMPLES_SCHEMA",
    "TEXTS_SCHEMA",
    "BankMetadata",
    "CacheMetadata",
    "content_digest",
    "read_table",
    "write_table",
]

FORMAT = 1

TEXTS_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # "criterion" or "text"
        pa.field("input_ids", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
        pa.field("starts", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
        pa.field("ends", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
    ]
)

_SPAN = pa.struct([pa.field("start", pa.int32(), nullable=False), pa.field("end", pa.int32(), nullable=False)])
EXAMPLES_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("criterion", pa.string(), nullable=False),
        pa.field("text_row", pa.int32(), nullable=False),
        pa.field("criterion_row", pa.int32(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("spans", pa.list_(pa.field("item", _SPAN, nullable=False)), nullable=False),
    ]
)

AUGMENTED_SCHEMA = pa.schema(
    [
        *EXAMPLES_SCHEMA,  # of the training example that the row varies
        pa.field("item", pa.string(), nullable=False),  # the evidence sentence that is altered
        pa.field("source_method", pa.string(), nullable=False),  # what varied it before; "" for nothing
        pa.field("source_level", pa.int8(), nullable=False),  # -1 for nothing
        pa.field("variant", pa.int8(), nullable=False),
        # 1: the item's own example. 0: an example of the same post without evidence; such rows follow the item's own.
        pa.field("own", pa.int8(), nullable=False),
    ]
)
"""Columns of the examples file of a tokenised bank; a row per variant of an example."""


@dataclasses.dataclass(frozen=True)
class CacheMetadata:
    """What both files of a cache say about themselves.

    Attributes:
        step: The step that writes such files.
        task: ``criteria`` or ``evidence``.
        digest: SHA-256 over the examples, the criteria's texts, the tokeniser and the backbone.
        backbone_digest: Digest of the prepared backbone's directory.
        tokenizer_digest: Digest of the tokeniser's files.
        criteria_digest: Digest of the criteria's ids and texts.
        cls: Id of the classification token.
        sep: Id of the separator token.
        pad: Id of the padding token.
        token_types: Whether the model tells the two sequences apart by token types.
        template: Layout of the special tokens of an input.
    """

    step: ClassVar[str] = "tokenize_examples"

    task: str
    digest: str
    backbone_digest: str
    tokenizer_digest: str
    criteria_digest: str
    cls: int
    sep: int
    pad: int
    token_types: bool
    template: PairTemplate

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Return the metadata that :meth:`to_dict` described."""
        return cls(**{**value, "template": PairTemplate.from_dict(value["template"])})


@dataclasses.dataclass(frozen=True)
class BankMetadata(CacheMetadata):
    """What both files of a tokenised bank say about themselves.

    Attributes:
        source: What the method varied: ``original``, or a family.
        method: The method.
        level: Its level of strength.
        contents: SHA-256 of the rows of each ``source_method/source_level``, as ``digest`` is of all rows: it does not
            depend on the others, so a run that uses some of them does not either.
    """

    step: ClassVar[str] = "tokenize_augmented"

    source: str
    method: str
    level: int
    contents: dict[str, str]


Metadata = TypeVar("Metadata", bound=CacheMetadata)


def write_table(path: Path, batch: pa.RecordBatch, metadata: CacheMetadata) -> None:
    """Write ``batch`` with ``metadata`` and a digest of its content, atomically; equal input gives equal bytes."""
    described = {
        "format": str(FORMAT),
        "cache": canonical_json(metadata.to_dict()),
        "content": content_digest(batch),
    }
    batch = batch.replace_schema_metadata(described)
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=None)) as writer,
    ):
        writer.write_batch(batch)


def read_table(path: Path, schema: pa.Schema, kind: type[Metadata]) -> tuple[pa.RecordBatch, Metadata]:
    """Map a file of a token cache into memory.

    Args:
        path: The file.
        schema: Its columns.
        kind: What it says about itself.

    Raises:
        DataError: The file is missing, is no token cache of this version, or its content is damaged.
    """
    remedy = f"delete it and run {kind.step} again"
    try:
        with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
            found, batches = reader.schema, [reader.get_batch(index) for index in range(reader.num_record_batches)]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: truncated or damaged token cache; {remedy}") from error
    described = {key.decode(): value.decode() for key, value in (found.metadata or {}).items()}
    if not found.equals(schema) or described.get("format") != str(FORMAT) or len(batches) != 1:
        raise DataError(
            f"{path}: not a token cache of format {FORMAT} with the columns {', '.join(schema.names)}; {remedy}"
        )
    if not _is_intact(batches[0], described.get("content")):
        raise DataError(f"{path}: damaged token cache (its content differs from its digest); {remedy}")
    try:
        return batches[0], kind.from_dict(json.loads(described["cache"]))
    except TypeError as error:
        raise DataError(f"{path}: is not what {kind.step} writes; {remedy}") from error


def _is_intact(batch: pa.RecordBatch, digest: str | None) -> bool:
    try:
        batch.validate(full=True)
    except pa.ArrowException:
        return False
    return content_digest(batch) == digest


def content_digest(batch: pa.RecordBatch) -> str:
    """Return the SHA-256 over the types and values of all columns; metadata does not count."""
    digest = hashlib.sha256()
    for column in batch.columns:
        _update(digest, column)
    return digest.hexdigest()


def _update(digest: Any, array: Any) -> None:
    """Feed the values of an array without nulls, level by level, without copying the long ones."""
    digest.update(f"{array.type}/{len(array)};".encode())
    if pa.types.is_struct(array.type):
        for field in array.flatten():
            _update(digest, field)
    elif pa.types.is_list(array.type):
        offsets = array.offsets.to_numpy()
        digest.update(offsets - offsets[0])
        _update(digest, array.flatten())
    elif pa.types.is_string(array.type):
        if len(array):
            offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
            digest.update(offsets - offsets[0])
            digest.update(memoryview(array.buffers()[2] or b"")[int(offsets[0]) : int(offsets[-1])])
    else:
        digest.update(np.ascontiguousarray(array.to_numpy(zero_copy_only=True)))
