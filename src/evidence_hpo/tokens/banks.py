"""Tokenised banks: varied training examples, mapped into memory; a run copies the few rows that it chooses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evidence_hpo.config.banks import Bank, Variation
from evidence_hpo.files import digest_json
from evidence_hpo.tokens.cache import check_together
from evidence_hpo.tokens.tables import AUGMENTED_SCHEMA, EXAMPLES_SCHEMA, TEXTS_SCHEMA, BankMetadata, read_table

__all__ = ["TokenBank"]

Rows = NDArray[np.int64]


class TokenBank:
    """Varied examples of one task as token ids, by one method at one level.

    Attributes:
        metadata: What the bank's files say about themselves.
        own: int8 [rows]; 1: the row varies the item's own example; 0: it shows the altered post with a criterion that
            it does not meet. Such rows follow the row that altered the post.
    """

    def __init__(self, texts: pa.RecordBatch, examples: pa.RecordBatch, metadata: BankMetadata) -> None:
        self.metadata = metadata
        self._texts = texts
        self._examples = examples
        self.own: NDArray[np.int8] = examples.column("own").to_numpy(zero_copy_only=True)

    @classmethod
    def open(cls, texts: Path, examples: Path) -> TokenBank:
        """Map both files of a bank into memory; nothing is copied.

        Raises:
            DataError: A file is missing or damaged, or the two were not written together.
        """
        text_table, text_metadata = read_table(texts, TEXTS_SCHEMA, BankMetadata)
        example_table, example_metadata = read_table(examples, AUGMENTED_SCHEMA, BankMetadata)
        check_together(texts, text_metadata, examples, example_metadata)
        return cls(text_table, example_table, text_metadata)

    @property
    def bank(self) -> Bank:
        """Which bank it is."""
        return Bank(self.metadata.source, self.metadata.method, self.metadata.level)

    def __len__(self) -> int:
        return int(self._examples.num_rows)

    def digest(self, sources: Iterable[Variation]) -> str:
        """Return the SHA-256 of the rows whose sentences were varied before as ``sources`` say, and of no others."""
        names = [f"{method}/{level}" for method, level in sources]
        return digest_json({name: self.metadata.contents.get(name) for name in sorted(names)})

    def strings(self, name: str) -> Any:
        """Return a column of strings as an Arrow array, [rows]."""
        return self._examples.column(name)

    def source_codes(self, sources: Iterable[Variation]) -> Rows:
        """Return the position in ``sources`` of what each row's sentence was varied by before, else -1; [rows]."""
        methods, levels = self.strings("source_method"), self._examples.column("source_level").to_numpy()
        codes = np.full(len(self), -1, dtype=np.int64)
        for code, (method, level) in enumerate(sources):
            codes[pc.equal(methods, method).to_numpy(zero_copy_only=False) & (levels == level)] = code
        return codes

    def taken(self, rows: Rows) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return copies of ``rows`` as the two tables of a token cache: the texts that they need, and the examples."""
        taken = self._examples.take(pa.array(rows)).select(EXAMPLES_SCHEMA.names)
        used = [taken.column(name).to_numpy() for name in ("text_row", "criterion_row")]
        unique, place = np.unique(np.concatenate(used), return_inverse=True)
        for number, name in enumerate(("text_row", "criterion_row")):
            moved = pa.array(place[number * len(rows) : (number + 1) * len(rows)], pa.int32())
            taken = taken.set_column(taken.schema.get_field_index(name), EXAMPLES_SCHEMA.field(name), moved)
        return self._texts.take(pa.array(unique)), taken
