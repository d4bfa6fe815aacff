"""Ids that follow from content: equal content, equal id."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from evidence_hpo.files import digest_json

__all__ = ["identifier", "trial_id"]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "evidence-hpo")


def identifier(kind: str, content: Any) -> str:
    """Return the UUID (version 5) of a JSON value: equal content, equal id."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{digest_json(content)}"))


def trial_id(trial: Mapping[str, Any]) -> str:
    """Return the id of a trial record."""
    return identifier("trial", [trial["study"], trial["architecture"], trial["stage"], trial["number"], trial["key"]])
