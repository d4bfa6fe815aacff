"""Token caches: the tokenised examples of one task, split and backbone, mapped into memory and never copied."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_json
from evidence_hpo.tokens.tables import EXAMPLES_SCHEMA, TEXTS_SCHEMA, CacheMetadata, read_table
from evidence_hpo.tokens.template import PairTemplate

__all__ = ["GoldTokens", "TokenCache", "check_joinable", "check_together"]


@dataclasses.dataclass(frozen=True)
class GoldTokens:
    """All gold spans of a cache as token spans, sorted by example and position.

    Attributes:
        begin: int64 [examples + 1]; the spans of example ``i`` are ``begin[i]:begin[i + 1]``.
        first: int64 [spans]; position in its text of the first token that overlaps the span.
        last: int64 [spans]; position in its text of the last token that overlaps the span.
    """

    begin: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


class TokenCache:
    """Examples of one task as token ids.

    Rows of the *texts* file are unique texts and criteria; ``input_ids``, ``starts`` and ``ends`` are flat over all of
    them, and row ``r`` is the slice ``row_begin[r]:row_begin[r + 1]``. All three are views of the mapped file.

    Attributes:
        metadata: What the cache's files say about themselves.
        input_ids: int32, flat; token ids without special tokens.
        starts: int32, flat; character offset of each token in its text.
        ends: int32, flat; end of each token, exclusive.
        row_begin: int32 [rows + 1].
        text_rows: int32 [examples]; row of each example's text.
        criterion_rows: int32 [examples]; row of each example's criterion.
        labels: int8 [examples]; 1 = the criterion is met.
    """

    def __init__(self, texts: pa.RecordBatch, examples: pa.RecordBatch, metadata: CacheMetadata) -> None:
        self.metadata = metadata
        self._texts = texts
        self._examples = examples
        ids = texts.column("input_ids")
        self.row_begin: NDArray[np.int32] = _view(ids.offsets)
        self.input_ids: NDArray[np.int32] = _view(ids.values)
        self.starts: NDArray[np.int32] = _view(texts.column("starts").values)
        self.ends: NDArray[np.int32] = _view(texts.column("ends").values)
        self.text_rows: NDArray[np.int32] = _view(examples.column("text_row"))
        self.criterion_rows: NDArray[np.int32] = _view(examples.column("criterion_row"))
        self.labels: NDArray[np.int8] = _view(examples.column("label"))

    @classmethod
    def open(cls, texts: Path, examples: Path) -> TokenCache:
        """Map both files of a cache into memory; nothing is copied.

        Raises:
            DataError: A file is missing or damaged, or the two were not written together.
        """
        text_table, text_metadata = read_table(texts, TEXTS_SCHEMA, CacheMetadata)
        example_table, example_metadata = read_table(examples, EXAMPLES_SCHEMA, CacheMetadata)
        check_together(texts, text_metadata, examples, example_metadata)
        return cls(text_table, example_table, text_metadata)

    def joined(self, other: TokenCache) -> TokenCache:
        """Return a cache of this one's examples and then the other's; its tokens are copied into memory.

        Raises:
            DataError: The two are not of one task, backbone and tokeniser with the same criteria.
        """
        check_joinable(self.metadata, other.metadata)
        return self.followed_by(other._texts, other._examples, other.digest)

    def followed_by(self, texts: pa.RecordBatch, examples: pa.RecordBatch, digest: str) -> TokenCache:
        """Return a cache of this one's examples and then others; its tokens are copied into memory.

        Args:
            texts: Texts file of the others.
            examples: Their examples file, which names rows of ``texts``.
            digest: Of the others.
        """
        shift, rows = self._texts.num_rows, examples
        for name in ("text_row", "criterion_row"):
            place = EXAMPLES_SCHEMA.get_field_index(name)
            moved = pc.add(rows.column(name), pa.scalar(shift, pa.int32()))
            rows = rows.set_column(place, EXAMPLES_SCHEMA.field(name), moved)
        both = pa.concat_batches([part.replace_schema_metadata(None) for part in (self._texts, texts)])
        joined = pa.concat_batches([part.replace_schema_metadata(None) for part in (self._examples, rows)])
        metadata = dataclasses.replace(self.metadata, digest=digest_json([self.digest, digest]))
        return TokenCache(both, joined, metadata)

    @property
    def task(self) -> str:
        """``criteria`` or ``evidence``."""
        return self.metadata.task

    @property
    def digest(self) -> str:
        """SHA-256 over the examples, the criteria's texts, the tokeniser and the backbone."""
        return self.metadata.digest

    @property
    def backbone_digest(self) -> str:
        """Digest of the backbone whose tokeniser made the cache."""
        return self.metadata.backbone_digest

    @property
    def cls(self) -> int:
        """Id of the classification token."""
        return self.metadata.cls

    @property
    def sep(self) -> int:
        """Id of the separator token."""
        return self.metadata.sep

    @property
    def pad(self) -> int:
        """Id of the padding token."""
        return self.metadata.pad

    @property
    def template(self) -> PairTemplate:
        """Layout of the special tokens of an input."""
        return self.metadata.template

    @property
    def token_types(self) -> bool:
        """Whether the model tells the two sequences apart by token types."""
        return self.metadata.token_types

    def __len__(self) -> int:
        return int(self._examples.num_rows)

    @cached_property
    def example_ids(self) -> list[str]:
        """Id of each example."""
        ids: list[str] = self._examples.column("example_id").to_pylist()
        return ids

    @cached_property
    def post_ids(self) -> NDArray[np.object_]:
        """Id of each example's post."""
        return np.array(self._examples.column("post_id").to_pylist(), dtype=object)

    @cached_property
    def criteria(self) -> NDArray[np.object_]:
        """Id of each example's criterion."""
        return np.array(self._examples.column("criterion").to_pylist(), dtype=object)

    @cached_property
    def gold_spans(self) -> list[list[tuple[int, int]]]:
        """Character spans of each example, end exclusive; empty where there is no evidence."""
        rows = self._examples.column("spans").to_pylist()
        return [[(span["start"], span["end"]) for span in row] for row in rows]

    @cached_property
    def gold_tokens(self) -> GoldTokens:
        """All gold spans as token spans; a span that no token overlaps is left out."""
        spans = self._examples.column("spans")
        counts = np.diff(_view(spans.offsets))
        example = np.repeat(np.arange(len(self)), counts)
        char_starts, char_ends = (_view(field).astype(np.int64) for field in spans.values.flatten())
        row = self.text_rows[example].astype(np.int64)
        # One key per token, growing over the whole file, turns a search in each text into one search over all.
        scale = int(max(self.ends.max(initial=0), char_ends.max(initial=0))) + 1
        token_row = np.repeat(np.arange(len(self.row_begin) - 1) * scale, np.diff(self.row_begin))
        first = np.searchsorted(token_row + self.ends, row * scale + char_starts, side="right")
        last = np.searchsorted(token_row + self.starts, row * scale + char_ends, side="left") - 1
        kept = first <= last
        begin = np.concatenate([[0], np.cumsum(np.bincount(example[kept], minlength=len(self)))])
        offset = self.row_begin[row[kept]]
        return GoldTokens(begin.astype(np.int64), first[kept] - offset, last[kept] - offset)


def _view(array: Any) -> NDArray[Any]:
    view: NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return view


def check_together(texts: Path, one: CacheMetadata, examples: Path, other: CacheMetadata) -> None:
    """Check that two files were written together.

    Raises:
        DataError: They were not; the line names what differs.
    """
    if one == other:
        return
    left, right = one.to_dict(), other.to_dict()
    order = ("task", "backbone_digest", "tokenizer_digest", "criteria_digest", "digest")
    what = next((name for name in order if left[name] != right[name]), "template")
    raise DataError(f"{texts}, {examples}: do not belong together ({what} differs); run {one.step} again")


def check_joinable(one: CacheMetadata, other: CacheMetadata) -> None:
    """Check that the examples of two caches can be trained on together.

    Raises:
        DataError: They are not of one task, backbone and tokeniser with the same criteria.
    """
    for name in ("task", "backbone_digest", "tokenizer_digest", "criteria_digest"):
        if getattr(one, name) != getattr(other, name):
            raise DataError(f"token caches with another {name} cannot be joined; run {other.step} for both")
