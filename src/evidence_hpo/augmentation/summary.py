"""What the banks of a study hold: counts and rates, never a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evidence_hpo.augmentation.rejection import REASONS
from evidence_hpo.config.augmentation import METHODS

__all__ = ["summarize_records"]

_COUNTS = ("rows", "made", "varied")
_KEYS = ("task", "source", "method", "level", "strength")


def summarize_records(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the records of all parts.

    Args:
        records: As ``augmentation_record`` describes them, in any order.

    Returns:
        ``banks``, one entry a task, source, method and level; ``tasks`` and ``families``, the same counts by task and
        by family of the method; ``total``. Each with the number of variants asked for (rows) and made, those rejected
        by reason, errors by class, sentences varied, seconds, and sentences varied a second (null: none was).
    """
    records = sorted(records, key=lambda record: [str(record[key]) for key in (*_KEYS, "part")])
    families = {method: family for family, methods in METHODS.items() for method in methods}
    banks = [
        {**dict(zip(_KEYS, key, strict=True)), "items": sum(part["items"] for part in parts), **_added(parts)}
        for key, parts in _grouped(records, lambda record: tuple(record[key] for key in _KEYS)).items()
    ]
    by_task = _grouped(records, lambda record: record["task"])
    by_family = _grouped(records, lambda record: families[record["method"]])
    return {
        "banks": banks,
        "tasks": {name: _added(parts) for name, parts in by_task.items()},
        "families": {name: _added(parts) for name, parts in by_family.items()},
        "total": _added(records),
    }


def _grouped(records: Iterable[Mapping[str, Any]], key: Any) -> dict[Any, list[Mapping[str, Any]]]:
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    seconds = sum(part["seconds"] for part in parts)
    varied = sum(part["varied"] for part in parts)
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part["errors"])
    return {
        **{name: sum(part[name] for part in parts) for name in _COUNTS},
        "rejected": {reason: sum(part["rejected"][reason] for part in parts) for reason in REASONS},
        "errors": dict(sorted(errors.items())),
        "seconds": round(seconds, 3),
        "sentences_per_second": round(varied / seconds, 3) if varied and seconds else None,
    }
