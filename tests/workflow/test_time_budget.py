"""A run whose time is used up stops cleanly, and the same command goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflow.study import TINY, make_study

pytestmark = pytest.mark.workflow

SHARD = "results/criteria/stage1/round_0/shard_0.jsonl"


def test_the_same_command_goes_on_after_the_budget(tmp_path: Path) -> None:
    study = make_study(tmp_path, TINY)
    arguments = ("run", SHARD, "--cores", "2", "--override", "search.stages.stage1.trials=3")
    stopped = study.run(*arguments, "--time-budget", "1s", program="evidence-hpo", check=False)
    assert stopped.returncode == 1
    assert "time budget of 1 s is used up; the same command goes on" in stopped.stderr
    assert "the time budget is used up: stops here" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (study.folder / SHARD).exists()
    study.run(*arguments, "--time-budget", "1h", program="evidence-hpo")
    lines = (study.folder / SHARD).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
