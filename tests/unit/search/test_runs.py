"""The bridge from the search to training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from search_support import FIXED

from evidence_hpo.config.checkpoints import CHECKPOINTS_VARIABLE, CheckpointSettings
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.search import runs
from evidence_hpo.search.interruption import watch_for_interruption
from evidence_hpo.search.outcomes import RunRequest


class Inputs:
    """Inputs that hold nothing."""

    def of_run(self, _parameters: Any, _architecture: str) -> Any:
        return SimpleNamespace(backbone=SimpleNamespace(directory=Path("encoder")), train={}, validation={}, banks={})


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the run is given by name."""
    given: dict[str, Any] = {}

    def run(*_: Any, report: Callable[[str], None], **named: Any) -> None:
        given.update(named)

    monkeypatch.setattr(runs, "run", run)
    return given


def test_a_run_gets_the_workflows_checkpoint_settings_and_hears_of_signals(
    taken: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = CheckpointSettings(keep_last_n=7)
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, settings.model_dump_json())
    request = RunRequest(
        label="trial 0",
        architecture="criteria",
        parameters=FIXED.model_dump(),
        seed=0,
        epochs=1,
        data_fraction=1.0,
        rungs=(),
        objective="macro_f1",
        early_stopping_patience=0,
        runtime=RuntimeSettings(),
        digests={},
        versions={},
    )
    runner = runs.training_runner(Inputs())  # type: ignore[arg-type]
    with watch_for_interruption() as interruption:
        runner(request, tmp_path, None, print)
        assert taken["checkpoints"] == settings
        assert taken["stop"] is interruption
        assert taken["keep_points"], "who stores the result removes them"
