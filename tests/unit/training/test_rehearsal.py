"""A rehearsal does all that a run will do, once, says what it saw, and leaves nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evidence_hpo.errors import ConfigurationError, DataError, TrainingError
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.loop import Training
from evidence_hpo.training.rehearsal import rehearse
from evidence_hpo.training.run import RunInputs, RunSpec, run

Make = Callable[..., RunSpec]
Inputs = dict[str, RunInputs]


@pytest.fixture(autouse=True)
def temporaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporaries"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_it_tells_shapes_loss_and_scores_and_leaves_nothing(
    tmp_path: Path, temporaries: Path, inputs: Inputs, make_spec: Make, architecture: str
) -> None:
    spec = make_spec(architecture, {"batch_size": 8, "warmup_ratio": 0.0})
    before = set(tmp_path.rglob("*"))
    found = rehearse(spec, inputs["tiny"], lambda _: None)
    assert set(tmp_path.rglob("*")) == before
    assert set(found["tasks"]) == set(ARCHITECTURE_TASKS[architecture])
    for task, described in found["tasks"].items():
        assert described["examples"]["train"] == len(inputs["tiny"].train[task])
        assert described["windows"]["train"] >= described["examples"]["train"]
        assert described["batch"] == [8, 32]
    result = run(spec, inputs["tiny"], tmp_path / "work", report=lambda _: None)
    assert set(found["metrics"]) == set(result.evaluations[0]["metrics"]) - {"loss", "criteria_loss", "evidence_loss"}
    assert 0 < found["parameters"]["trained"] <= found["parameters"]["all"]
    assert 0 < found["loss"] < 20
    assert list(temporaries.iterdir()) == []


def test_what_would_end_the_run_ends_the_rehearsal(inputs: Inputs, make_spec: Make) -> None:
    with pytest.raises(ConfigurationError, match="max_length: 512 is more than the backbone's 96 positions"):
        rehearse(make_spec("criteria", {"max_length": 512}), inputs["tiny"], lambda _: None)
    none = RunInputs(inputs["tiny"].backbone, {"criteria": _empty(inputs)}, inputs["tiny"].validation)
    with pytest.raises(DataError, match="has no examples"):
        rehearse(make_spec("criteria"), none, lambda _: None)


def _empty(inputs: Inputs) -> TokenCache:
    cache = inputs["tiny"].train["criteria"]
    return TokenCache(cache._texts, cache._examples.slice(0, 0), cache.metadata)


def test_a_loss_that_is_no_number_is_said(inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Training.window_losses
    monkeypatch.setattr(Training, "window_losses", lambda *given: original(*given) * float("nan"))
    with pytest.raises(TrainingError, match="the loss of the first step is nan"):
        rehearse(make_spec("criteria"), inputs["tiny"], lambda _: None)


def test_a_prediction_that_is_no_number_is_said(
    inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(training: Training, *_: Any) -> torch.Tensor:
        with torch.no_grad():
            training.trained[0].fill_(float("nan"))
        return torch.tensor(0.5)

    monkeypatch.setattr(Training, "optimize", broken)
    with pytest.raises(TrainingError, match="a prediction of the model is not finite"):
        rehearse(make_spec("criteria"), inputs["tiny"], lambda _: None)
