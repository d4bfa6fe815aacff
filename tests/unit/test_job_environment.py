"""What jobs get by their environment, so that changing it reruns nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.config.search import TRIALS_PER_GPU_VARIABLE, trials_per_gpu
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.jobs import set_job_environment

RULES = Path(__file__).resolve().parents[2] / "rules"


def test_a_job_gets_the_number_of_trials_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"PATH": ""})
    assert trials_per_gpu() == 1, "in a step started by hand"
    changes = {"search": {"trials_per_gpu": 4}}
    set_job_environment(Path("/workflow"), load_configuration(merge(default_configuration().model_dump(), changes)))
    assert trials_per_gpu() == 4


@pytest.mark.parametrize("text", ["", "many", "0"])
def test_a_wrong_number_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(TRIALS_PER_GPU_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"{TRIALS_PER_GPU_VARIABLE}: '{text}'"):
        trials_per_gpu()


def test_a_shard_does_not_depend_on_the_number_of_trials_at_once() -> None:
    text = (RULES / "search.smk").read_text(encoding="utf-8")
    rule = re.search(r"^rule run_trials:\n.*?(?=^rule )", text, re.M | re.S).group()
    assert "trials_per_gpu" not in rule[rule.index("    params:") :]
