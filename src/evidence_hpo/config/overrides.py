"""Single values of a configuration by their dotted keys: `search.stages.stage1.trials: 20`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from evidence_hpo.config.base import suggestion
from evidence_hpo.errors import ConfigurationError

__all__ = ["apply_overrides", "parse_overrides"]


def apply_overrides(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raw configuration with its section `overrides` carried out and emptied.

    A part of a key that meets a list is the position of an item, or its `name`. A key that does not exist yet is
    added; whether it may exist is for the check of the whole to say.

    Raises:
        ConfigurationError: A key leads nowhere.
    """
    overrides = raw.get("overrides") or {}
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(f"configuration: overrides: {overrides!r}: must be a map from dotted keys to values")
    changed = copy.deepcopy(dict(raw))
    changed["overrides"] = {}
    for key, value in overrides.items():
        *parents, last = str(key).split(".")
        place: Any = changed
        for part in parents:
            place = _inside(place, part, str(key))
        _set(place, last, value, str(key))
    return changed


def _inside(place: Any, part: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, key)]
    if not isinstance(place, dict):
        raise ConfigurationError(f"configuration: overrides.{key}: there is nothing below the value {place!r}")
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _set(place: Any, part: str, value: Any, key: str) -> None:
    if isinstance(place, list):
        place[_position(place, part, key)] = value
    elif isinstance(place, dict):
        place[part] = value
    else:
        raise ConfigurationError(f"configuration: overrides.{key}: there is nothing below the value {place!r}")


def _position(items: list[Any], part: str, key: str) -> int:
    names = [str(item.get("name")) if isinstance(item, dict) else "" for item in items]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    known = [name for name in names if name]
    raise ConfigurationError(f"configuration: overrides.{key}: '{part}' is not in the list{suggestion(part, known)}")


def parse_overrides(texts: list[str]) -> dict[str, Any]:
    """Return the map of ``key=value`` texts; a value is read as YAML.

    Raises:
        ConfigurationError: A text has no ``=``, or its value is not YAML.
    """
    overrides: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"--override {text}: must be key=value, as search.stages.stage1.trials=20")
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--override {text}: the value is not valid YAML") from error
    return overrides
