from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics
from evidence_hpo.training.prediction import load_model, predict
from evidence_hpo.training.run import RunInputs, RunSpec, run

Make = Callable[..., RunSpec]
CPU = RuntimeSettings(device="cpu")


def _trained(tmp_path: Path, inputs: RunInputs, spec: RunSpec) -> dict[str, float]:
    result = run(spec, inputs, tmp_path / "work", model=tmp_path / "model", report=lambda _: None)
    best = next(e for e in result.evaluations if e["epoch"] == result.best_epoch)
    metrics: dict[str, float] = best["metrics"]
    return metrics


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_the_exported_model_predicts_what_training_evaluated(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Make, architecture: str, precision: str
) -> None:
    values = {"learning_rate": 3e-3, "pooling": "attention", "head_layers": 2, "precision": precision}
    spec = make_spec(architecture, values, epochs=6)
    expected = _trained(tmp_path, inputs["tiny"], spec)
    tasks = ARCHITECTURE_TASKS[architecture]
    caches = {task: inputs["tiny"].validation[task] for task in tasks}
    frames = predict(load_model(tmp_path / "model"), caches, CPU)
    assert tuple(frames) == tasks
    found: dict[str, float] = {}
    if "criteria" in frames:
        frame = frames["criteria"]
        assert list(frame) == ["example_id", "post_id", "criterion", "label", "probability"]
        found |= criteria_metrics(frame["label"].to_numpy(), frame["probability"].to_numpy())
    if "evidence" in frames:
        frame = frames["evidence"]
        assert list(frame)[3:] == ["gold", "start", "end", "span_score", "null_score"]
        spans = [(row.start, row.end) if row.span_score - row.null_score > 0 else None for row in frame.itertuples()]
        gold = [[(start, end) for start, end in spans] for spans in frame["gold"]]
        found |= evidence_metrics(gold, spans)
    assert found == {name: expected[name] for name in found}
    assert set(expected) - set(found) <= {"loss", "criteria_loss", "evidence_loss", "mean_macro_f1_char_f1"}


def test_scores_hardly_depend_on_the_batch_size(tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Make) -> None:
    _trained(tmp_path, inputs["tiny"], make_spec("share"))
    model = load_model(tmp_path / "model")
    one = predict(model, inputs["tiny"].validation, RuntimeSettings(device="cpu", evaluation_batch_size=1))
    many = predict(model, inputs["tiny"].validation, CPU)
    np.testing.assert_allclose(one["criteria"]["probability"], many["criteria"]["probability"], rtol=1e-4)
    np.testing.assert_allclose(one["evidence"]["span_score"], many["evidence"]["span_score"], rtol=1e-3, atol=1e-4)


def test_the_model_predicts_in_its_own_precision(tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Make) -> None:
    caches = {"criteria": inputs["tiny"].validation["criteria"]}
    _trained(tmp_path, inputs["tiny"], make_spec("criteria", {"precision": "bf16"}))
    model = load_model(tmp_path / "model")
    own = predict(model, caches, CPU)["criteria"]["probability"]
    model.spec.parameters["precision"] = "fp32"
    exact = predict(model, caches, CPU)["criteria"]["probability"]
    assert (own != exact).any()
    np.testing.assert_allclose(own, exact, atol=0.02)


def test_wrong_caches_and_files_are_errors(tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Make) -> None:
    with pytest.raises(DataError, match=r"run\.json: no such file"):
        load_model(tmp_path / "model")
    _trained(tmp_path, inputs["tiny"], make_spec("criteria", epochs=1))
    model = load_model(tmp_path / "model")
    with pytest.raises(DataError, match="criteria model cannot predict the examples of task evidence"):
        predict(model, {"evidence": inputs["tiny"].validation["evidence"]}, CPU)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"model\.safetensors: does not hold the weights"):
        load_model(tmp_path / "model")
    weights.unlink()
    with pytest.raises(DataError, match=r"model\.safetensors: no such file"):
        load_model(tmp_path / "model")


def test_a_cache_of_another_tokeniser_is_an_error(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Make
) -> None:
    _trained(tmp_path, inputs["tiny"], make_spec("criteria", epochs=1))
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    with pytest.raises(DataError, match="of another backbone"):
        predict(load_model(tmp_path / "model"), {"criteria": inputs["tiny"].validation["criteria"]}, CPU)
