"""The JSON schemas are schemas, name nothing that is not there, and the configuration files follow theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import evidence_hpo.schemas
from evidence_hpo.config.loading import merge, read_yaml

FOLDER = Path(evidence_hpo.schemas.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = sorted(FOLDER.glob("*.schema.json"))
CONFIGURATIONS = [ROOT / "workflow_config.yaml", *sorted((ROOT / "presets").rglob("*.yaml"))]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key == "$ref")
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name.removesuffix(".schema.json"))
def test_a_schema_is_one_and_names_only_what_is_there(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for reference in set(references(schema)):
        file, _, pointer = reference.partition("#")
        found = json.loads((FOLDER / file).read_text(encoding="utf-8")) if file else schema
        for part in pointer.strip("/").split("/"):
            assert part in found, f"{path.name}: {reference} leads nowhere"
            found = found[part]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_default_configuration_and_each_preset_over_it_follow_their_schema(path: Path) -> None:
    validator = Draft202012Validator(json.loads((FOLDER / "workflow_config.schema.json").read_text(encoding="utf-8")))
    content = merge(read_yaml(ROOT / "workflow_config.yaml"), read_yaml(path))
    assert [error.message for error in validator.iter_errors(content)] == []
    assert [error.message for error in validator.iter_errors({**content, "no_such_section": 1})]
