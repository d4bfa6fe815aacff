"""Events of a step: JSON lines in its log file, one readable line each on standard error. Never the text of a post."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evidence_hpo.storage import storage_errors

__all__ = ["log_event", "log_path", "open_log"]


class _Log:
    """A file of whole lines, written without a buffer: a line that does not fit is not there at all.

    Each line goes to the end of the file, wherever that is now: the same job, started again elsewhere, may have emptied
    the file meanwhile, and a line at the old place would leave a hole before it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.open("wb").close()
        self._file = path.open("ab", buffering=0)

    def write(self, line: str) -> None:
        content = memoryview(line.encode("utf-8"))
        written = 0
        try:
            while written < len(content):
                written += self._file.write(content[written:])
        except OSError:
            with contextlib.suppress(OSError):
                if written:
                    self._file.truncate(self._file.tell() - written)
            raise

    def close(self) -> None:
        self._file.close()


_log: _Log | None = None


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[None]:
    """Send the events of the block to ``path`` as well.

    Raises:
        StorageError: The disk is full.
    """
    global _log
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _log = _Log(path)
    try:
        yield
    finally:
        with storage_errors(path):  # some network file systems say only now that there was no room
            _close_log()


def _close_log() -> None:
    global _log
    closing, _log = _log, None
    if closing is not None:
        closing.close()


def log_path() -> Path | None:
    """Return the file that events go to, if there is one."""
    return None if _log is None else _log.path


def log_event(event: str, message: str, *, level: str = "info", **fields: Any) -> None:
    """Record an event.

    Args:
        event: Short name for machines, as ``trial_finished``.
        message: One line for people.
        level: ``info``, ``warning`` or ``error``.
        fields: JSON values.

    Raises:
        StorageError: The disk of the log file is full; further events go to standard error alone.
    """
    _say(message if level == "info" else f"{level}: {message}")
    if _log is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "level": level, "event": event, "message": message, **fields}
        try:
            with storage_errors(_log.path):
                _log.write(json.dumps(record, ensure_ascii=False) + "\n")
        except Exception:
            _close_log()  # or the event that reports this error would fail as well
            raise


def _say(line: str) -> None:
    """Print a line for people; where standard error is a file on a full disk, the log file has to do."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        # What could not be written would be tried again at exit, and change the exit code.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
