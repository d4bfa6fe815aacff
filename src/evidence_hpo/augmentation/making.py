"""Make a bank: vary, judge, count. A sentence that a method cannot handle is recorded, never fatal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from evidence_hpo.augmentation.banks import (
    BANK,
    BankName,
    Request,
    own_part,
    read_bank,
    requests_of,
    write_bank,
)
from evidence_hpo.augmentation.items import items_of
from evidence_hpo.augmentation.methods import Method, seed_of
from evidence_hpo.augmentation.rejection import REASONS, Judge
from evidence_hpo.config.augmentation import BankSettings
from evidence_hpo.config.policies import ORIGINAL
from evidence_hpo.data import tables
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact

__all__ = ["Outcome", "make_bank", "vary_all"]

_SECONDS_BETWEEN_REPORTS = 10.0


@dataclass
class Outcome:
    """What became of the requests of a bank.

    Attributes:
        rows: One a request, in order, with the columns of ``BANK``.
        made: Number of rows with a text.
        rejected: Number of rows without one, by reason.
        errors: Number of errors that a method raised, by their class.
        varied: Number of times that the method was asked; equal sentences are varied once.
        seconds: That this took.
    """

    rows: pa.Table
    made: int
    rejected: dict[str, int]
    errors: dict[str, int]
    varied: int
    seconds: float


@dataclass
class _Varier:
    """Asks a method, once for equal sentences, and keeps what it raised."""

    method: Method
    strength: float
    known: dict[tuple[str, int], str | None] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def variant(self, text: str, number: int) -> str | None:
        """Return a variant; None where the method raised."""
        key = text, number
        if key not in self.known:
            self.known[key] = self._made(text, number)
        return self.known[key]

    def _made(self, text: str, number: int) -> str | None:
        try:
            variant = self.method.vary(text, self.strength, seed_of(text, self.method.name, self.strength, number))
            variant.encode("utf-8")  # half a surrogate pair is no text that could be stored
        except Exception as error:  # whatever a library meets in odd text
            self.errors[type(error).__name__] += 1
            return None
        return variant


def vary_all(requests: Sequence[Request], method: Method, strength: float, max_words: int) -> Outcome:
    """Make and judge all variants that are asked for.

    Args:
        requests: Sorted, so that those of one item follow each other.
        method: Makes the variants.
        strength: Of the method.
        max_words: Longer texts are not varied.
    """
    started = reported = time.monotonic()
    varier = _Varier(method, strength)
    texts: list[str | None] = []
    reasons: list[str | None] = []
    for _, group in groupby(requests, key=lambda request: request.item_id):
        own = list(group)
        judge = Judge(own[0].sentence)
        for request in own:
            text, reason = _judged(request, varier, judge, max_words)
            texts.append(text)
            reasons.append(reason)
        if time.monotonic() - reported >= _SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            _report(len(texts), len(requests), len(varier.known), reported - started)
    keys = ("item_id", "source_method", "source_level", "variant")
    columns = [*([getattr(request, key) for request in requests] for key in keys), texts, reasons]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, BANK.types, strict=True)]
    counts = Counter(reason for reason in reasons if reason is not None)
    return Outcome(
        rows=pa.Table.from_arrays(arrays, schema=BANK),
        made=reasons.count(None),
        rejected={reason: counts[reason] for reason in REASONS},
        errors=dict(sorted(varier.errors.items())),
        varied=len(varier.known),
        seconds=time.monotonic() - started,
    )


def _judged(request: Request, varier: _Varier, judge: Judge, max_words: int) -> tuple[str | None, str | None]:
    """Return a variant's text or the reason why there is none."""
    if request.text is None:
        return None, "no_source"
    if not request.text.strip():
        return None, "empty"
    if len(request.text.split()) > max_words:
        return None, "too_long"
    variant = varier.variant(request.text, request.variant)
    if variant is None:
        return None, "error"
    reason = judge.reason_against(variant, request.text)
    return (None, reason) if reason else (variant, None)


def _report(done: int, total: int, varied: int, seconds: float) -> None:
    log_event(
        "progress",
        f"{done} of {total} variants, {varied / seconds:.1f} sentences/s",
        done=done,
        total=total,
        rate=round(varied / seconds, 3),
    )


def make_bank(
    name: BankName,
    settings: BankSettings,
    part: int,
    method: Method,
    *,
    versions: dict[str, str],
    examples: Path,
    sources: Sequence[Path],
    output: Path,
    record: Path,
) -> None:
    """Make one part of a bank, and the record of how it went.

    Args:
        name: Which bank.
        settings: What it depends on.
        part: Number of the part, from 0.
        method: The method of the bank.
        versions: Of what the variants depend on.
        examples: Training examples of the task.
        sources: The banks whose variants are varied once more; none where the source is ``original``.
        output: The bank, Parquet.
        record: Counts and time, JSON.

    Raises:
        DataError: An input is missing or invalid.
    """
    frame = tables.read_table(examples, tables.EXAMPLES)
    items = items_of(pa.Table.from_pandas(frame, schema=tables.EXAMPLES), whole_text=settings.whole_text)
    own = own_part(items, part, settings.parts)
    rows = None if name.source == ORIGINAL else pa.concat_tables([_BANK_ROWS.empty_table(), *map(_named, sources)])
    outcome = vary_all(requests_of(own, settings.variants, rows), method, settings.strength, settings.max_words)
    content = write_bank(output, outcome.rows, name, versions)
    described = _described(name, settings, part, len(own), outcome)
    write_artefact(record, "augmentation_record", {**described, "versions": versions, "content": content})
    log_event("bank", _in_words(outcome), **described)


_BANK_ROWS = pa.schema(
    [
        ("item_id", pa.string()),
        ("method", pa.string()),
        ("level", pa.int8()),
        ("variant", pa.int8()),
        ("text", pa.string()),
    ]
)


def _named(path: Path) -> pa.Table:
    """Return the rows of a bank with its method and level, as sources of a chained bank."""
    table, name = read_bank(path)
    count = table.num_rows
    columns = {
        "item_id": table.column("item_id"),
        "method": pa.repeat(name.method, count),
        "level": pa.repeat(pa.scalar(name.level, pa.int8()), count),
        "variant": table.column("variant"),
        "text": table.column("text"),
    }
    return pa.table(columns, schema=_BANK_ROWS)


def _described(name: BankName, settings: BankSettings, part: int, items: int, outcome: Outcome) -> dict[str, Any]:
    return {
        "task": name.task,
        "source": name.source,
        "method": name.method,
        "level": name.level,
        "strength": name.strength,
        "part": part,
        "parts": settings.parts,
        "items": items,
        "rows": outcome.rows.num_rows,
        "made": outcome.made,
        "rejected": outcome.rejected,
        "errors": outcome.errors,
        "varied": outcome.varied,
        "seconds": round(outcome.seconds, 3),
    }


def _in_words(outcome: Outcome) -> str:
    rejected = ", ".join(f"{count} {reason}" for reason, count in outcome.rejected.items() if count) or "none"
    return f"{outcome.rows.num_rows} variants asked for, {outcome.made} made; rejected: {rejected}"
