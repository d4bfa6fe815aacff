"""The criteria of a corpus: the built-in nine symptoms, or a JSON file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidence_hpo.config.base import suggestion
from evidence_hpo.data.problems import Problems
from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json

if TYPE_CHECKING:
    from evidence_hpo.data.criteria import Criterion

__all__ = ["load_criteria"]

_KEYS = ("id", "name", "text")


def load_criteria(file: str | None) -> list[dict[str, str]]:
    """Return the criteria as ``[{"id", "name", "text"}, ...]``, in their given order.

    Args:
        file: JSON list of such mappings, where the name may be missing (it is the id then); None: the DSM-5 symptoms.

    Raises:
        DataError: One line per problem of the file.
    """
    if file is None:
        from evidence_hpo.data.criteria import DSM5_CRITERIA

        return [_built_in(criterion) for criterion in DSM5_CRITERIA]
    entries = read_json(Path(file))
    if not isinstance(entries, list) or not entries:
        raise DataError(f'{file}: must be a JSON list of {{"id", "name", "text"}} with at least one entry')
    problems = Problems()
    criteria = [_checked(entry, number, file, problems) for number, entry in enumerate(entries, start=1)]
    for key in ("id", "text"):
        values = [criterion[key] for criterion in criteria if criterion.get(key)]
        twice = [c["id"] for c in criteria if c.get(key) and values.count(c[key]) > 1]
        if twice:
            problems.add(file, 0, f"{key} given to more than one criterion", twice)
    problems.raise_any()
    return criteria


def _built_in(criterion: Criterion) -> dict[str, str]:
    return {"id": criterion.id, "name": criterion.name, "text": criterion.text}


def _checked(entry: Any, number: int, file: str, problems: Problems) -> dict[str, str]:
    where = f"criterion {number}"
    if not isinstance(entry, dict):
        problems.add(file, 0, f"{where} is not a mapping of id, name and text")
        return {"id": "", "name": "", "text": ""}
    for key in sorted(set(entry) - set(_KEYS)):
        problems.add(file, 0, f"{where} has the unknown key '{key}'{suggestion(key, _KEYS)}")
    values: dict[str, str] = {}
    for key in _KEYS:
        value = entry.get(key, entry.get("id") if key == "name" else None)
        fault = _fault(key, value)
        if fault:
            problems.add(file, 0, f"{where}: {key} {fault}")
        values[key] = "" if fault else str(value)
    return values


def _fault(key: str, value: Any) -> str:
    if value is None:
        return "is missing"
    if not isinstance(value, str):
        return "is not a string"
    if not value.strip():
        return "is empty"
    if key == "id" and (not value.isprintable() or value != value.strip() or "|" in value or len(value) > 64):
        return "must be at most 64 printable characters without '|' and without spaces around them"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half a character (a lone surrogate)"
    return ""
