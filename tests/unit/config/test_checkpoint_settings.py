"""How the checkpoint settings reach a job: by the environment, so that they rerun nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence_hpo.config.checkpoints import CHECKPOINTS_VARIABLE, CheckpointSettings
from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.resolved import configuration_digest
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph
from evidence_hpo.jobs import set_job_environment
from evidence_hpo.provenance import CONFIGURATION_VARIABLE, origin_here


def test_a_job_gets_the_settings_of_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", CHECKPOINTS_VARIABLE, CONFIGURATION_VARIABLE):
        monkeypatch.setenv(name, "")
    settings = CheckpointSettings(keep_last_n=5, max_total_size_gb=0.5)
    default = default_configuration()
    training = default.training.model_copy(update={"checkpoints": settings})
    changed = default.model_copy(update={"training": training})
    set_job_environment(Path("/workflow"), changed)
    assert CheckpointSettings.of_environment() == settings
    assert origin_here()["configuration"] == configuration_digest(changed) != configuration_digest(default)


def test_a_step_started_by_hand_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKPOINTS_VARIABLE, raising=False)
    assert CheckpointSettings.of_environment() == CheckpointSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"keep_last": 1}', "keep_last Extra"), ("", "Invalid JSON"), ('{"keep_last_n": 0}', "keep_last_n")],
)
def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"{CHECKPOINTS_VARIABLE}: {message}"):
        CheckpointSettings.of_environment()


def test_no_rule_that_trains_depends_on_the_settings() -> None:
    before = default_configuration()
    checkpoints = CheckpointSettings(keep_last_n=5)
    changed = before.model_copy(update={"training": before.training.model_copy(update={"checkpoints": checkpoints})})
    graphs = [StudyGraph(configuration) for configuration in (before, changed)]
    for architecture in graphs[0].architectures:
        for stage in graphs[0].stages_of(architecture):
            for round_ in graphs[0].rounds(architecture, stage):
                first, second = (graph.proposal_settings(architecture, stage, round_) for graph in graphs)
                assert first == second
    assert graphs[0].retrain_settings() == graphs[1].retrain_settings()
