"""Clean ends: SIGTERM and Ctrl-C are noted, and the run stops at its next resume point."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from evidence_hpo.logs import log_event

__all__ = ["Interrupted", "Interruption", "current_interruption", "watch_for_interruption"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """The process was asked to end. No ``Exception``: nothing may take it for the failure of a trial."""


class Interruption:
    """Whether the process was asked to end."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; a second one of the same kind ends the process at once."""
        self.requested = True
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        name = signal.Signals(number).name
        message = f"{name}: stops after this epoch; {name} again stops at once, and the next run repeats the epoch"
        log_event("interrupted", message, level="warning", signal=name)

    def check(self) -> None:
        """Raise :class:`Interrupted` if the process was asked to end."""
        if self.requested:
            raise Interrupted


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
    interruption, outer = Interruption(), _current
    before = {number: signal.signal(number, interruption.request) for number in _SIGNALS}
    _current = interruption
    try:
        yield interruption
    finally:
        _current = outer
        for number, handler in before.items():
            signal.signal(number, handler)
