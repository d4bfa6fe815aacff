"""How the level of a confidence interval is written."""

from __future__ import annotations

__all__ = ["level_text"]


def level_text(level: float) -> str:
    """Return a level in percent, never rounded to whole ones: 0.975 is ``97.5 %``."""
    return f"{100 * level:g} %"
