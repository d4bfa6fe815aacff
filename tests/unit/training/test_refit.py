"""A refit trains on training and validation examples together, for a fixed number of epochs, judged by nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.files import canonical_json, digest_directory, read_json
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.training import loop
from evidence_hpo.training.losses import class_weights
from evidence_hpo.training.run import Rung, RunInputs, RunResult, RunSpec, run

Make = Callable[..., RunSpec]
Inputs = dict[str, RunInputs]


class KilledError(Exception):
    """Stands for a signal."""


def silent(_: str) -> None:
    return None


def killed_at(line: str) -> Callable[[str], None]:
    def report(message: str) -> None:
        if message.startswith(line):
            raise KilledError

    return report


def comparable(result: RunResult) -> str:
    return canonical_json({**vars(result), "duration_seconds": None})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_a_refit_killed_anywhere_ends_in_the_same_bits(
    tmp_path: Path, inputs: Inputs, make_spec: Make, architecture: str
) -> None:
    spec = make_spec(architecture, epochs=4, refit_epochs=3)
    whole = run(spec, inputs["tiny"], tmp_path / "whole", model=tmp_path / "model", report=silent)
    for number, line in enumerate(["epoch 1 of 3", "epoch 2:", "epoch 2 of 3", "epoch 3:"]):
        work, model = tmp_path / f"work{number}", tmp_path / f"model{number}"
        with pytest.raises(KilledError):
            run(spec, inputs["tiny"], work, model=model, report=killed_at(line))
        resumed = run(spec, inputs["tiny"], work, model=model, report=silent)
        assert comparable(resumed) == comparable(whole)
        assert digest_directory(model) == digest_directory(tmp_path / "model")
        assert not work.exists()


def test_a_refit_has_losses_and_no_value_and_keeps_the_last_weights(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluated(*_: Any) -> Any:
        raise AssertionError("a refit has nothing to be evaluated on")

    monkeypatch.setattr(loop, "evaluate_model", evaluated)
    seen: list[dict[str, torch.Tensor]] = []
    original = loop.Training.record_refit

    def watched(self: loop.Training, *arguments: Any) -> Any:
        seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return original(self, *arguments)

    monkeypatch.setattr(loop.Training, "record_refit", watched)
    spec = make_spec("share", epochs=5, refit_epochs=3)
    result = run(
        spec,
        inputs["tiny"],
        tmp_path / "work",
        model=tmp_path / "model",
        report=silent,
        checkpoints=CheckpointSettings(keep_best_k=2),
    )
    assert (result.state, result.value, result.best_epoch, result.reason) == ("complete", None, None, None)
    assert [one["epoch"] for one in result.evaluations] == [1.0, 2.0, 3.0]
    assert all(one["metrics"] == {} and one["train"]["loss"] > 0 for one in result.evaluations)
    assert all(torch.equal(tensor, seen[2][name]) for name, tensor in weights(tmp_path / "model").items())
    assert not (tmp_path / "model" / "checkpoints").exists(), "weights of other epochs are no better or worse"
    assert RunSpec.from_json(read_json(tmp_path / "model" / "run.json")) == spec


def test_the_schedule_spans_all_epochs_though_the_refit_ends_before(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    def trained(epochs: int, refit_epochs: int) -> dict[str, torch.Tensor]:
        model = tmp_path / f"{epochs}_{refit_epochs}"
        spec = make_spec("criteria", {"schedule": "linear"}, epochs=epochs, refit_epochs=refit_epochs)
        run(spec, inputs["tiny"], tmp_path / "work", model=model, report=silent)
        return weights(model)

    early, short = trained(6, 2), trained(2, 2)
    assert any(not torch.equal(early[name], short[name]) for name in early)
    factors: dict[tuple[int, int], Any] = {}

    def factors_of(epochs: int, refit_epochs: int | None) -> Any:
        def watched(self: loop.Training) -> loop.Ending:
            factors[epochs, refit_epochs or 0] = np.array(self.factors)
            return loop.Ending("complete")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop.Training, "train", watched)
            spec = make_spec("criteria", {"schedule": "linear"}, epochs=epochs, refit_epochs=refit_epochs)
            run(spec, inputs["tiny"], tmp_path / "work", report=silent)
        return factors[epochs, refit_epochs or 0]

    assert np.array_equal(factors_of(6, 2), factors_of(6, 6))
    assert len(factors_of(6, 2)) > len(factors_of(6, None)), "an epoch has the validation examples too"


@pytest.mark.parametrize("task", ["criteria", "evidence"])
def test_a_refit_reads_both_splits_and_weighs_classes_over_both(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    seen: list[loop.Training] = []

    def watched(self: loop.Training) -> loop.Ending:
        seen.append(self)
        return loop.Ending("complete")

    monkeypatch.setattr(loop.Training, "train", watched)
    spec = make_spec(task, {"class_weights": "balanced"}, refit_epochs=1)
    given = inputs["tiny"]
    run(spec, given, tmp_path / "work", report=silent)
    run(replace(spec, refit_epochs=None), given, tmp_path / "work", report=silent)
    refit, usual = seen
    both = [*given.train[task].example_ids, *given.validation[task].example_ids]
    assert refit.data[task].cache.example_ids == both
    assert len(refit.data[task].rows) == len(both) > len(usual.data[task].rows)
    assert refit.validation == {}
    assert refit.class_weights[task] == class_weights(task, refit.data[task], spec.parameters)
    assert refit.class_weights[task] != usual.class_weights[task]


def test_validation_examples_change_a_refit(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    given = inputs["tiny"]
    spec = make_spec("criteria", epochs=1, refit_epochs=1)
    found = []
    for number, validation in enumerate([given.validation, given.train]):
        model = tmp_path / f"model{number}"
        run(spec, replace(given, validation=validation), tmp_path / "work", model=model, report=silent)
        found.append(digest_directory(model))
    assert found[0] != found[1]


def test_a_resume_point_of_a_usual_run_is_not_taken(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    usual, refit = make_spec("criteria", epochs=3), make_spec("criteria", epochs=3, refit_epochs=3)
    with pytest.raises(KilledError):
        run(usual, inputs["tiny"], tmp_path / "work", report=killed_at("epoch 2 of"))
    lines: list[str] = []
    run(refit, inputs["tiny"], tmp_path / "work", report=lines.append)
    assert "of another run" in lines[0]


def test_weights_that_diverge_in_the_last_step_fail_the_refit(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = loop.Training.optimize

    def spoilt(self: loop.Training, *arguments: Any) -> torch.Tensor:
        loss = original(self, *arguments)
        with torch.no_grad():
            self.trained[0].fill_(float("nan"))
        return loss

    monkeypatch.setattr(loop.Training, "optimize", spoilt)
    spec = make_spec("criteria", {"batch_size": 64, "gradient_accumulation_steps": 1}, refit_epochs=1)
    result = run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "model", report=silent)
    assert (result.state, result.reason) == ("failed", "non-finite weight at step 1 (epoch 1)")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"refit_epochs": 0}, {"refit_epochs": 3}, {"rungs": (Rung(1.0),)}, {"early_stopping_patience": 2}],
    ids=str,
)
def test_a_refit_that_would_have_to_be_judged_is_refused(make_spec: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refit"):
        make_spec("criteria", **{"epochs": 2, "refit_epochs": 1, **wrong})
