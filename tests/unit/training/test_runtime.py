"""Runtime settings: how a run computes, not what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.bert.modeling_bert import BertIntermediate

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.training.run import RunInputs, RunSpec, run

Inputs = dict[str, RunInputs]
Make = Callable[..., RunSpec]


def _weights(folder: Path, spec: RunSpec, inputs: RunInputs) -> dict[str, torch.Tensor]:
    run(spec, inputs, folder / "work", model=folder / "model", report=lambda _: None)
    return load_file(folder / "model" / "model.safetensors")


def _runtime(**values: Any) -> RuntimeSettings:
    return RuntimeSettings(device="cpu", **values)


@pytest.mark.parametrize("architecture", ["share", "joint"])
def test_activations_computed_twice_give_the_same_weights(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    passes = []
    original = BertIntermediate.forward

    def counted(layer: BertIntermediate, *arguments: Any, **options: Any) -> Any:
        passes[-1] += layer.training
        return original(layer, *arguments, **options)

    monkeypatch.setattr(BertIntermediate, "forward", counted)
    passes.append(0)
    plain = _weights(tmp_path / "a", make_spec(architecture, epochs=1), inputs["tiny"])
    passes.append(0)
    spec = make_spec(architecture, epochs=1, runtime=_runtime(gradient_checkpointing=True))
    found = _weights(tmp_path / "b", spec, inputs["tiny"])
    assert passes[1] == 2 * passes[0] > 0
    assert all(torch.equal(found[name], tensor) for name, tensor in plain.items())


def test_an_encoder_that_cannot_checkpoint_is_an_error(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.BertModel.supports_gradient_checkpointing", False)
    spec = make_spec("criteria", runtime=_runtime(gradient_checkpointing=True))
    with pytest.raises(ConfigurationError, match="gradient_checkpointing: true: a bert encoder cannot do it"):
        run(spec, inputs["tiny"], tmp_path / "work", report=lambda _: None)


def test_compiled_passes_train_as_the_others_do(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    still = {"dropout": 0.0, "backbone_dropout": 0.0}  # a compiled dropout draws other numbers
    plain = run(make_spec("criteria", still, epochs=1), inputs["tiny"], tmp_path / "a", report=lambda _: None)
    spec = make_spec("criteria", still, epochs=1, runtime=_runtime(compile="default"))
    found = run(spec, inputs["tiny"], tmp_path / "b", report=lambda _: None)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert found.evaluations[0]["train"]["loss"] == pytest.approx(plain.evaluations[0]["train"]["loss"], rel=1e-4)
    assert found.evaluations[0]["metrics"]["loss"] == pytest.approx(plain.evaluations[0]["metrics"]["loss"], rel=1e-3)
