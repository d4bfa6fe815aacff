"""A run that stops by itself: no epoch begins after its time, and the same command goes on later."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from types import FrameType

import typer

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.search.interruption import DEADLINE_VARIABLE

__all__ = ["run_within", "seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(budget: str) -> float:
    """Return the seconds of a time budget: a number with s, m, h, d or nothing (seconds) behind it.

    Raises:
        ConfigurationError: It is not of this form.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", budget.strip())
    if found is None or float(found.group(1)) <= 0:
        raise ConfigurationError(f"--time-budget {budget}: must be a positive number of seconds, or as 90m, 12h, 7d")
    return float(found.group(1)) * _UNITS[found.group(2)]


def run_within(command: Sequence[str], seconds: float) -> int:
    """Run a command whose jobs stop at the end of the epoch in which the time is used up; return its exit code.

    Signals reach the command: Ctrl-C by the terminal, SIGTERM from here.
    """
    deadline = time.time() + seconds
    environment = {**os.environ, DEADLINE_VARIABLE: repr(deadline)}
    # The claim of the folder is an open file: it goes on to the command, which may outlive this process.
    process = subprocess.Popen(command, env=environment, close_fds=False)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code and time.time() >= deadline:
        typer.echo(f"the time budget of {seconds:g} s is used up; the same command goes on from here", err=True)
    return 1 if code < 0 else code
