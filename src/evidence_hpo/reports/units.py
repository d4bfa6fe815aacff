"""Times and energies in the unit that a person would choose."""

from __future__ import annotations

__all__ = ["energy_unit", "lasting", "time_unit"]

_TIMES = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_ENERGIES = (("kWh", 3.6e6), ("Wh", 3600.0), ("J", 1.0))


def time_unit(seconds: float) -> tuple[str, float]:
    """Return name and seconds of the unit for values up to ``seconds``: the largest of which there are two."""
    return next((unit for unit in _TIMES if seconds >= 2 * unit[1]), _TIMES[-1])


def energy_unit(joules: float) -> tuple[str, float]:
    """Return name and joules of the unit for values up to ``joules``."""
    return next((unit for unit in _ENERGIES if joules >= unit[1]), _ENERGIES[-1])


def lasting(seconds: float) -> str:
    """Return a time in words, as ``3.2 hours``."""
    unit, size = time_unit(seconds)
    return f"{seconds / size:.1f} {unit}"
