"""Events of a step: JSON lines in its log file, one readable line each on standard error. Never the text of a post."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import IO, Any

__all__ = ["log_event", "open_log"]

_log: IO[str] | None = None


def open_log(path: Path) -> None:
    """Send all further events of this process to ``path`` as well."""
    global _log
    path.parent.mkdir(parents=True, exist_ok=True)
    if _log is not None:
        _log.close()
    _log = path.open("w", encoding="utf-8", buffering=1)


def log_event(event: str, message: str, *, level: str = "info", **fields: Any) -> None:
    """Record an event.

    Args:
        event: Short name for machines, as ``trial_finished``.
        message: One line for people.
        level: ``info``, ``warning`` or ``error``.
        fields: JSON values.
    """
    print(message if level == "info" else f"{level}: {message}", file=sys.stderr, flush=True)
    if _log is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "level": level, "event": event, "message": message, **fields}
        _log.write(json.dumps(record, ensure_ascii=False) + "\n")
