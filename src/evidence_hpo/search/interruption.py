"""Clean ends: SIGTERM, Ctrl-C and a used-up time budget are noted, and the run stops at its next resume point."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from evidence_hpo.logs import log_event

__all__ = ["DEADLINE_VARIABLE", "Interrupted", "Interruption", "current_interruption", "watch_for_interruption"]

DEADLINE_VARIABLE = "EVIDENCE_HPO_DEADLINE"
"""Environment variable: seconds since 1970 after which no job trains another epoch. It changes no number."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """The process was asked to end. No ``Exception``: nothing may take it for the failure of a trial."""


class Interruption:
    """Whether the process was asked to end."""

    def __init__(self, deadline: float | None = None) -> None:
        self._signalled = False
        self._deadline = deadline

    @property
    def requested(self) -> bool:
        """Whether the process was asked to end, or its time is used up."""
        if not self._signalled and self._deadline is not None and time.time() >= self._deadline:
            self._signalled = True
            log_event("interrupted", "the time budget is used up: stops here", level="warning")
        return self._signalled

    def request(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; a second one of the same kind ends the process at once."""
        self._signalled = True
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        name = signal.Signals(number).name
        message = f"{name}: stops after this epoch; {name} again stops at once, and the next run repeats the epoch"
        log_event("interrupted", message, level="warning", signal=name)

    def check(self) -> None:
        """Raise :class:`Interrupted` if the process was asked to end."""
        if self.requested:
            raise Interrupted


def _deadline() -> float | None:
    value = os.environ.get(DEADLINE_VARIABLE)
    return float(value) if value else None


_current = Interruption()


def current_interruption() -> Interruption:
    """Return what the innermost :func:`watch_for_interruption` notes; outside of it nothing was ever asked."""
    return _current


@contextlib.contextmanager
def watch_for_interruption() -> Iterator[Interruption]:
    """Note signals while the block runs; outside the main thread, which gets no signals, do nothing."""
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield Interruption()
        return
    interruption, outer = Interruption(_deadline()), _current
    before = {number: signal.signal(number, interruption.request) for number in _SIGNALS}
    _current = interruption
    try:
        yield interruption
    finally:
        _current = outer
        for number, handler in before.items():
            signal.signal(number, handler)
