"""Which variants a run trains on: rows of its banks, chosen by parameters and seed, and joined to its examples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evidence_hpo.config.banks import sources_of_run
from evidence_hpo.files import digest_json
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache, check_joinable
from evidence_hpo.tokens.tables import content_digest

__all__ = ["augmented"]

Rows = NDArray[np.int64]


def augmented(
    cache: TokenCache, rows: Rows, banks: Sequence[TokenBank], parameters: Mapping[str, Any], seed: int
) -> tuple[TokenCache, Rows]:
    """Return the examples and the variants that a run trains on; it depends on the arguments alone.

    A share ``augmentation_probability`` of the evidence sentences is varied. Of such a sentence,
    ``augmentation_variants`` variants are taken: one of each method that made any, then a second of each, the methods
    and their variants in random order. An example without evidence is shown with as many of its post's alterations
    (where ``augmentation_nulls`` says so; criteria of whole posts always).

    Args:
        cache: Training examples.
        rows: Those that are trained on; nothing else is varied.
        banks: The banks that the parameters use (``config.banks.banks_of_run``).
        parameters: The parameters that act in the run.
        seed: Seed of the run.

    Returns:
        A cache of the examples of ``cache`` and then the variants, whose tokens are copied, and the rows of it to
        train on: ``rows``, without those that variants replace (``augmentation_mode``), and all variants.

    Raises:
        DataError: A bank is of another task, backbone or criteria than the cache.
    """
    for bank in banks:
        check_joinable(cache.metadata, bank.metadata)
    candidates = _Candidates(cache, rows, banks, parameters)
    chosen = _chosen(candidates, parameters, np.random.default_rng(_seed(cache.task, seed)))
    if len(chosen) == 0:
        return cache, rows
    if parameters["augmentation_mode"] == "replace":
        rows = rows[~np.isin(rows, candidates.example[chosen])]
    parts = [
        bank.taken(candidates.row[own])
        for number, bank in enumerate(banks)
        if len(own := chosen[candidates.bank[chosen] == number])
    ]
    texts, examples = _concatenated(parts)
    digest = digest_json([content_digest(texts), content_digest(examples)])
    joined = cache.followed_by(texts, examples, digest)
    return joined, np.concatenate([rows, np.arange(len(cache), len(joined))])


def _seed(task: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"augmentation/{task}/{seed}".encode("ascii")).digest(), "big")


class _Candidates:
    """The rows of all banks that a run may take, [candidates] each, in the order of the banks and their rows.

    Attributes:
        bank: Position of the bank.
        row: Row in the bank.
        example: The example that the row varies, as a row of the cache.
        item: Number of the evidence sentence.
        method: Number of the method, or pair of methods, that made the variant.
        own: Whether the row varies the sentence's own example.
        alteration: Number of the altered text; that of a row and the rows that show it with other criteria.
    """

    def __init__(
        self, cache: TokenCache, rows: Rows, banks: Sequence[TokenBank], parameters: Mapping[str, Any]
    ) -> None:
        trained = np.zeros(len(cache) + 1, dtype=bool)  # the last one stands for no example of the cache
        trained[rows] = True
        known = pa.array(cache.example_ids, pa.string())
        others = cache.task == "criteria" or parameters["augmentation_nulls"]
        found: list[tuple[NDArray[Any], ...]] = []
        items: list[Any] = []
        methods = alterations = 0
        for number, bank in enumerate(banks):
            sources = sources_of_run(parameters, bank.bank.source)
            source = bank.source_codes(sources)
            example = pc.index_in(bank.strings("example_id"), known).fill_null(len(cache)).to_numpy().astype(np.int64)
            alteration = alterations + np.cumsum(bank.own) - 1
            row = np.flatnonzero((source >= 0) & trained[example] & ((bank.own == 1) | others))
            found.append((np.full(len(row), number), row, example[row], methods + source[row], alteration[row]))
            items.append(bank.strings("item").take(pa.array(row)))
            methods, alterations = methods + len(sources), alterations + len(bank)
        columns = [np.concatenate(column).astype(np.int64) for column in zip(*found, strict=True)]
        self.bank, self.row, self.example, self.method, self.alteration = columns
        self.item = _numbered(pa.concat_arrays(items))
        self.own = np.concatenate([bank.own[part[1]] for bank, part in zip(banks, found, strict=True)]) == 1
        self.alterations = alterations


def _numbered(strings: Any) -> Rows:
    """Return the rank of each string among the distinct ones."""
    encoded = strings.dictionary_encode()
    rank = np.argsort(pc.array_sort_indices(encoded.dictionary).to_numpy())
    numbers: Rows = rank[encoded.indices.to_numpy()].astype(np.int64)
    return numbers


def _chosen(candidates: _Candidates, parameters: Mapping[str, Any], generator: np.random.Generator) -> Rows:
    """Return the chosen candidates, in ascending order."""
    varied = generator.random(int(candidates.item.max(initial=-1)) + 1) < parameters["augmentation_probability"]
    most = int(parameters["augmentation_variants"])
    own = np.flatnonzero(candidates.own & varied[candidates.item])
    own = _first_of_each(own, candidates.item[own], candidates.method[own], most, generator)
    altered = np.zeros(candidates.alterations, dtype=bool)
    altered[candidates.alteration[own]] = True
    others = np.flatnonzero(~candidates.own & altered[candidates.alteration])
    example = candidates.example[others]
    others = _first_of_each(others, example, np.zeros_like(example), most, generator)
    return np.sort(np.concatenate([own, others]))


def _first_of_each(chosen: Rows, group: Rows, method: Rows, most: int, generator: np.random.Generator) -> Rows:
    """Return at most ``most`` of each group in random order, in which the methods of the group take turns.

    Args:
        chosen: What is drawn from, [n].
        group: Group of each, [n].
        method: Method of each, [n].
        most: Most of each group.
        generator: Source of the order.
    """
    random = generator.random((2, len(chosen)))
    turn = _position(np.lexsort((random[0], method, group)), (group, method))
    place = _position(np.lexsort((random[1], turn, group)), (group,))
    return chosen[place < most]


def _position(order: Rows, keys: tuple[Rows, ...]) -> Rows:
    """Return the position of each element among those of equal keys, in an order that is sorted by the keys."""
    if len(order) == 0:
        return order
    changes = np.zeros(len(order), dtype=bool)
    changes[0] = True
    for key in keys:
        changes[1:] |= key[order][1:] != key[order][:-1]
    index = np.arange(len(order))
    first = np.maximum.accumulate(np.where(changes, index, 0))
    position = np.empty_like(order)
    position[order] = index - first
    return position


def _concatenated(parts: Sequence[tuple[pa.RecordBatch, pa.RecordBatch]]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the texts and examples of several banks as one pair of tables."""
    shift, examples = 0, []
    for texts, rows in parts:
        for name in ("text_row", "criterion_row"):
            place = rows.schema.get_field_index(name)
            moved = pc.add(rows.column(name), pa.scalar(shift, pa.int32()))
            rows = rows.set_column(place, rows.schema.field(name), moved)
        examples.append(rows.replace_schema_metadata(None))
        shift += texts.num_rows
    batches = [texts.replace_schema_metadata(None) for texts, _ in parts]
    return pa.concat_batches(batches), pa.concat_batches(examples)
