"""Prediction tables of models and floors: the columns that all scoring relies on, and what is derived from them.

A table holds one row an example. Criteria: ``example_id, post_id, criterion, label, probability``. Evidence:
``example_id, post_id, criterion, gold`` (list of spans), ``start, end`` (best span), ``span_score, null_score``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evidence_hpo.errors import DataError, TrainingError

__all__ = [
    "COLUMNS",
    "Predictions",
    "Span",
    "answer_scores",
    "best_spans",
    "checked",
    "gold_spans",
    "has_answer",
    "predictions_table",
]

Span = tuple[int, int]

COLUMNS = {
    "criteria": ("example_id", "post_id", "criterion", "label", "probability"),
    "evidence": ("example_id", "post_id", "criterion", "gold", "start", "end", "span_score", "null_score"),
}
_SCORES = {"criteria": ("probability",), "evidence": ("span_score", "null_score")}


@dataclass(frozen=True)
class Predictions:
    """What one model, or one floor, predicts for the examples of a task."""

    validation: pd.DataFrame
    test: pd.DataFrame


def checked(table: pd.DataFrame, task: str, example_ids: Sequence[str], where: str) -> pd.DataFrame:
    """Return ``table`` with its rows in the order of ``example_ids``.

    Raises:
        DataError: A column is missing, or the examples are others than ``example_ids``.
        TrainingError: A score is not finite.
    """
    missing = [column for column in COLUMNS[task] if column not in table.columns]
    if missing:
        raise DataError(f"{where}: predictions lack the columns {', '.join(missing)}")
    ordered = table.set_index("example_id", drop=False)
    known, wanted = set(ordered.index), set(example_ids)
    if len(ordered) != len(known) or known != wanted:
        other = sorted(known ^ wanted)
        shown = ", ".join(other[:10]) + (f" and {len(other) - 10} more" if len(other) > 10 else "")
        raise DataError(f"{where}: predictions and examples differ ({shown or 'an example twice'}); rebuild both")
    for column in _SCORES[task]:
        broken = ordered.index[~np.isfinite(ordered[column].to_numpy(dtype=np.float64))]
        if len(broken):
            raise TrainingError(f"{where}: {column} is not finite for {len(broken)} examples, first {broken[0]}")
    return ordered.loc[list(example_ids), list(COLUMNS[task])].reset_index(drop=True)


def gold_spans(table: pd.DataFrame) -> list[list[Span]]:
    """Return the gold spans of each row."""
    return [[(int(start), int(end)) for start, end in spans] for spans in table["gold"]]


def best_spans(table: pd.DataFrame) -> list[Span | None]:
    """Return the best span of each row, whether or not it beats the null answer; None where there is no such span."""
    pairs = zip(table["start"].to_numpy(), table["end"].to_numpy(), strict=True)
    return [(int(start), int(end)) if end > start else None for start, end in pairs]


def answer_scores(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return by how much the best span beats the null answer, shape [n]."""
    difference: NDArray[np.float64] = (table["span_score"] - table["null_score"]).to_numpy(dtype=np.float64)
    return difference


def has_answer(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows have a gold span, shape [n]."""
    return np.array([len(spans) > 0 for spans in table["gold"]], dtype=bool)


def predictions_table(
    tasks: Mapping[str, Mapping[int, Predictions]], refits: Mapping[str, Mapping[int, pd.DataFrame]]
) -> pa.Table:
    """Return the predictions of all seeds as one table: ids, offsets and scores, no text.

    Args:
        tasks: Task -> seed -> predictions of the final models.
        refits: Task -> seed -> a refit's predictions of the test split; empty without refits.
    """
    parts = [
        _flat(getattr(predictions, split), task, "final", split, seed)
        for task, seeds in sorted(tasks.items())
        for seed, predictions in sorted(seeds.items())
        for split in ("validation", "test")
    ]
    parts += [
        _flat(table, task, "refit", "test", seed)
        for task, seeds in sorted(refits.items())
        for seed, table in sorted(seeds.items())
    ]
    fields: list[tuple[str, Any]] = [(name, pa.string()) for name in ("example_id", "post_id", "criterion")]
    fields += [
        ("task", pa.string()),
        ("role", pa.string()),
        ("split", pa.string()),
        ("seed", pa.int64()),
        ("label", pa.int8()),
    ]
    fields += [("probability", pa.float64()), ("start", pa.int32()), ("end", pa.int32())]
    fields += [("span_score", pa.float64()), ("null_score", pa.float64())]
    schema = pa.schema(fields)
    return pa.concat_tables(pa.Table.from_pylist(part, schema=schema) for part in parts)


def _flat(table: pd.DataFrame, task: str, role: str, split: str, seed: int) -> list[dict[str, Any]]:
    flat = table.drop(columns="gold", errors="ignore").assign(task=task, role=role, split=split, seed=seed)
    if task == "evidence":
        flat["label"] = has_answer(table).astype(np.int8)
    return [{str(name): value for name, value in row.items()} for row in flat.to_dict(orient="records")]
