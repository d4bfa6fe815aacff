"""A first signal is noted and says what a second one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from evidence_hpo.search.interruption import Interrupted, watch_for_interruption

TWICE = """
import os, signal
from evidence_hpo.search.interruption import watch_for_interruption
with watch_for_interruption():
    for name in ("first", "second"):
        os.kill(os.getpid(), signal.SIGTERM)
        print("after the", name, flush=True)
"""


def test_first_signal_waits_and_tells_of_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    with watch_for_interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            interruption.check()
    message = capsys.readouterr().err
    assert message.startswith("warning: SIGTERM: stops after this epoch; SIGTERM again stops at once")


def test_second_signal_ends_the_process_at_once() -> None:
    ended = subprocess.run([sys.executable, "-c", TWICE], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "after the first\n")
