"""A time budget: how it is written, and that training stops when it is used up."""

from __future__ import annotations

import time

import pytest

from evidence_hpo.cli.budget import seconds_of
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.search.interruption import DEADLINE_VARIABLE, Interrupted, watch_for_interruption


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5h", 5400), ("30m", 1800), ("7d", 604800), (" 10 s ", 10)]
)
def test_a_budget_has_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3", "2w", "h", "1e3"])
def test_what_is_no_budget_is_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--time-budget"):
        seconds_of(text)


def test_training_is_asked_to_stop_once_the_time_is_used_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DEADLINE_VARIABLE, repr(time.time() + 3600))
    with watch_for_interruption() as interruption:
        assert not interruption.requested
    monkeypatch.setenv(DEADLINE_VARIABLE, repr(time.time() - 1))
    with watch_for_interruption() as interruption:
        assert interruption.requested
        with pytest.raises(Interrupted):
            interruption.check()
    assert capsys.readouterr().err.count("time budget is used up") == 1
