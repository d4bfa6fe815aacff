"""Tables, scores and differences as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["gap", "score", "table"]


def table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    rows = [header, ["---"] * len(header), *body]
    return ["| " + " | ".join(row) + " |" for row in rows]


def score(value: Mapping[str, Any] | None) -> str:
    """Return a score of ``evaluation.json`` with its interval and its spread over seeds."""
    if value is None:
        return "-"
    spread = f", sd {value['sd']:.3f}" if value["sd"] is not None else ""
    if value["low"] is None:
        return f"{value['mean']:.3f} (too few posts{spread})"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f}{spread})"


def gap(value: Mapping[str, Any]) -> str:
    """Return a difference of ``evaluation.json`` with its interval; ``n.s.`` where that holds zero."""
    if value["low"] is None:
        return f"{value['mean']:+.3f}"
    return (
        f"{value['mean']:+.3f} ({value['low']:+.3f} to {value['high']:+.3f}){'' if value['excludes_zero'] else ' n.s.'}"
    )
