"""Lineage of a run as flat tags, from the provenance that its job left and the digests of its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["lineage_tags"]


def lineage_tags(provenance: Mapping[str, Any], digests: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags ``git.*``, ``version.*``, ``hardware.*``, ``data.hash.*``, ``backbone.hash`` and ``code.hash``.

    Args:
        provenance: Content of the job's provenance file; empty while the job runs.
        digests: Digests of what the run read, as its record has them.
    """
    tags = {f"git.{name}": _plain(value) for name, value in provenance.get("git", {}).items()}
    tags |= {f"version.{name}": str(value) for name, value in provenance.get("versions", {}).items()}
    tags |= {f"hardware.{name}": _plain(value) for name, value in provenance.get("hardware", {}).items()}
    for split in ("train", "validation", "test"):
        tags |= {f"data.hash.{split}.{task}": str(value) for task, value in digests.get(split, {}).items()}
    tags |= {f"{name}.hash": str(digests[name]) for name in ("backbone", "code") if name in digests}
    return {name: value for name, value in tags.items() if value}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
