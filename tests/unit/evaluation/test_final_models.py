"""The final models: failed seeds are left out, mixed configurations refused, the validation objective replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluation_toys import DIGEST, constant_floor, criteria_table, evidence_table, same

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.evaluation import models as final
from evidence_hpo.evaluation.artefact import evaluation_artefact
from evidence_hpo.evaluation.models import (
    FinalModel,
    best_seed,
    final_models,
    predict_all,
    predict_test,
    refits_of,
    validation_objective,
)
from evidence_hpo.schemas import check_artefact
from evidence_hpo.training.inference import NonFinitePredictionError
from evidence_hpo.training.metrics import criteria_metrics


def record(seed: int, **changes: Any) -> dict[str, Any]:
    splits = {split: {"criteria": DIGEST} for split in ("train", "validation")}
    return {
        "architecture": "criteria",
        "seed_index": seed,
        "seed": 100 + seed,
        "state": "complete",
        "reason": None,
        "value": 0.8,
        "objective": "macro_f1",
        "best_epoch": 2.0,
        "precision": "fp32",
        "epochs": 3,
        "parameters": {"dropout": 0.1},
        "effective_batch_size": 16,
        "effective_learning_rate": 1e-3,
        "versions": {"python": "3.11"},
        "checkpoint": {"path": "model", "sha256": DIGEST},
        "digests": {**splits, "backbone": DIGEST, "code": DIGEST},
        **changes,
    }


def folders(count: int) -> list[Path]:
    return [Path(f"seed_{number}") for number in range(count)]


def test_seeds_that_failed_are_left_out() -> None:
    failed = record(0, state="failed", reason="loss is not finite")
    models = final_models(folders(3), [failed, record(2), record(1)])
    assert [model.seed_index for model in models] == [1, 2]
    with pytest.raises(TrainingError, match="none of 2 final seeds was trained to the end: loss is not finite"):
        final_models(folders(2), [failed, failed])


def test_models_of_different_configurations_are_refused() -> None:
    with pytest.raises(DataError, match="seed_1: is of another configuration than seed_0"):
        final_models(folders(2), [record(0), record(1, parameters={"dropout": 0.2})])
    with pytest.raises(DataError, match="2 models but 1 records"):
        final_models(folders(2), [record(0)])


def test_best_seed_is_by_the_validation_objective_and_the_first_of_equals() -> None:
    models = [FinalModel(Path(), record(index, value=value)) for index, value in enumerate((0.6, 0.9, 0.9))]
    assert best_seed(models[::-1]).seed_index == 1


def test_refits_are_of_the_final_models_configuration() -> None:
    finals = final_models(folders(1), [record(0)])
    assert refits_of([], [], finals) == []
    refits = refits_of(folders(2), [record(1, role="refit", value=None), record(0, role="refit", value=None)], finals)
    assert [model.seed_index for model in refits] == [0, 1]
    with pytest.raises(DataError, match="is of another configuration"):
        refits_of(folders(1), [record(0, digests={})], finals)
    failed = record(0, state="failed", reason="non-finite weight at step 3 (epoch 1)")
    with pytest.raises(TrainingError, match=r"none of 1 refit seeds .*: non-finite weight .*retrain\.refit_seeds: 0"):
        refits_of(folders(1), [failed], finals)


def test_a_refit_whose_weights_are_not_the_recorded_ones_is_not_scored(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(DataError, match="the weights are not those of the run's record"):
        predict_test([FinalModel(tmp_path, record(0))], {"test": {}}, RuntimeSettings())


def test_the_validation_objective_is_the_one_of_training() -> None:
    criteria, evidence = criteria_table(), evidence_table()
    macro_f1 = criteria_metrics(criteria["label"].to_numpy(), criteria["probability"].to_numpy())["macro_f1"]
    assert validation_objective({"criteria": same(criteria)}, "macro_f1") == pytest.approx(macro_f1, abs=1e-6)
    both = {"criteria": same(criteria), "evidence": same(evidence)}
    char_f1 = validation_objective({"evidence": same(evidence)}, "char_f1")
    mean = validation_objective(both, "mean_macro_f1_char_f1")
    assert mean == pytest.approx((macro_f1 + char_f1) / 2, abs=1e-6)


def test_a_model_that_does_not_give_its_validation_score_again_is_flagged() -> None:
    table = criteria_table(skill=5.0)
    again = validation_objective({"criteria": same(table)}, "macro_f1")
    origin = {"stage": "stage1", "number": 1}
    chosen = {
        "study": "toy",
        "architecture": "criteria",
        "objective": "macro_f1",
        "chosen_rank": 0,
        "configuration": {"origin": origin},
        "configurations": [{"rank": 0, "mean": 0.8, "seeds": [{"seed_index": 0, "value": 0.8}]}],
    }
    digests = {
        **dict.fromkeys(("backbone", "code", "predictions"), DIGEST),
        **{split: {"criteria": DIGEST} for split in ("train", "validation", "test")},
    }

    def warnings(value: float) -> list[str]:
        models = [FinalModel(Path("seed_0"), record(0, value=value))]
        tasks = {"criteria": ({0: same(table)}, [constant_floor("criteria")])}
        content = evaluation_artefact(chosen, models, tasks, digests, EvaluationSettings(bootstrap_repeats=100), 0)
        check_artefact("evaluation", content, "toy")
        return [warning["code"] for warning in content["warnings"]]

    assert warnings(again) == []
    assert warnings(again - 0.02) == ["not_reproduced"]


def test_a_model_that_predicts_nonsense_stops_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise NonFinitePredictionError

    monkeypatch.setattr(final, "load_model", lambda _: None)
    monkeypatch.setattr(final, "predict", broken)
    models = final_models(folders(1), [record(0)])
    with pytest.raises(TrainingError, match="seed_0: predictions are not finite"):
        predict_all(models, {"validation": {}, "test": {}}, RuntimeSettings())
