"""JSON schemas of the artefacts, and the writer that checks an artefact before it takes its place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json, read_json_lines, write_json, write_json_lines

__all__ = [
    "check_artefact",
    "read_artefact",
    "read_artefact_lines",
    "write_artefact",
    "write_artefact_lines",
]


@cache
def _validator(schema: str) -> Draft202012Validator:
    common = Resource.from_contents(_schema("common"))
    return Draft202012Validator(_schema(schema), registry=Registry().with_resource("common.schema.json", common))


def _schema(name: str) -> Any:
    return json.loads(Path(__file__).with_name(f"{name}.schema.json").read_text(encoding="utf-8"))


def check_artefact(schema: str, value: Any, where: str) -> None:
    """Check ``value`` against ``schemas/<schema>.schema.json``.

    Raises:
        DataError: One line that names ``where``, the key and what is wrong.
    """
    error = next(iter(sorted(_validator(schema).iter_errors(value), key=lambda e: list(map(str, e.path)))), None)
    if error is not None:
        key = ".".join(map(str, error.path)) or "(top level)"
        raise DataError(f"{where}: {key}: {error.message[:200]} (schema {schema})")


def write_artefact(path: Path, schema: str, value: Any) -> None:
    """Check ``value`` against its schema, then write it as JSON, atomically."""
    check_artefact(schema, value, str(path))
    write_json(path, value)


def write_artefact_lines(path: Path, schema: str, rows: Iterable[Any]) -> None:
    """Check each row against the schema, then write them one a line, atomically."""
    rows = list(rows)
    for number, row in enumerate(rows, start=1):
        check_artefact(schema, row, f"{path}: line {number}")
    write_json_lines(path, rows)


def read_artefact(path: Path, schema: str) -> Any:
    """Read a JSON artefact and check it against its schema."""
    value = read_json(path)
    check_artefact(schema, value, str(path))
    return value


def read_artefact_lines(path: Path, schema: str) -> list[Any]:
    """Read an artefact of one JSON value a line and check each against the schema."""
    rows = read_json_lines(path)
    for number, row in enumerate(rows, start=1):
        check_artefact(schema, row, f"{path}: line {number}")
    return rows
