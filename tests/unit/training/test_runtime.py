"""Runtime settings: how a run computes, not what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import DebertaV2Config, DebertaV2Model
from transformers.models.bert.modeling_bert import BertIntermediate
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.models.encoders import new_encoder
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


def test_the_attention_is_the_one_that_was_asked_for(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    found = {}
    for attention in ("auto", "sdpa", "eager"):
        spec = make_spec("share", epochs=1, runtime=_runtime(attention=attention))
        found[attention] = run(spec, inputs["tiny"], tmp_path / attention, report=lambda _: None)
    losses = [found[name].evaluations[0]["metrics"]["loss"] for name in ("auto", "sdpa", "eager")]
    assert losses[0] == losses[1]  # what transformers takes for BERT
    assert losses[2] == pytest.approx(losses[1], rel=0.05)  # other arithmetic, other random numbers of the dropout
    assert losses[2] != losses[1]


def test_an_attention_that_is_not_there_is_an_error(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    spec = make_spec("criteria", runtime=_runtime(attention="flash_attention_2"))
    with pytest.raises(ConfigurationError, match="flash_attention_2: the package flash-attn is not installed"):
        run(spec, inputs["tiny"], tmp_path / "work", report=lambda _: None)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = DebertaV2Config(vocab_size=9, relative_attention=True, pos_att_type=["c2p", "p2c"], **small)
    DebertaV2Model(config).save_pretrained(tmp_path / "deberta")
    with pytest.raises(ConfigurationError, match="sdpa: a deberta-v2 encoder does not have it here"):
        new_encoder(tmp_path / "deberta", dropout=0.1, attention="sdpa")
    assert type(new_encoder(tmp_path / "deberta", dropout=0.1, attention="eager").encoder) is DebertaV2Encoder
    assert type(new_encoder(tmp_path / "deberta", dropout=0.1).encoder) is not DebertaV2Encoder
