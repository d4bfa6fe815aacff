"""How durations are written on the command line."""

from __future__ import annotations

import re

from evidence_hpo.errors import ConfigurationError

__all__ = ["seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(budget: str, option: str = "--time-budget") -> float:
    """Return the seconds of a duration: a number with s, m, h, d or nothing (seconds) behind it.

    Args:
        budget: The text.
        option: The option that it is of, for the message.

    Raises:
        ConfigurationError: It is not of this form.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", budget.strip())
    if found is None or float(found.group(1)) <= 0:
        raise ConfigurationError(f"{option} {budget}: must be a positive number of seconds, or as 90m, 12h, 7d")
    return float(found.group(1)) * _UNITS[found.group(2)]
