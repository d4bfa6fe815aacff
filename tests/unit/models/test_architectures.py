from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from evidence_hpo.models.architectures import (
    ARCHITECTURE_TASKS,
    EncoderInputs,
    JointModel,
    SingleEncoderModel,
    build_model,
    encoder_count,
)

PARAMETERS: dict[str, Any] = {
    "pooling": "mean",
    "head_layers": 1,
    "head_hidden": 8,
    "head_activation": "gelu",
    "dropout": 0.0,
}


def _model(architecture: str) -> SingleEncoderModel | JointModel:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    encoders = [BertModel(config, add_pooling_layer=False) for _ in range(encoder_count(architecture))]
    return build_model(architecture, PARAMETERS, encoders).eval()


def _inputs(padding: int = 0) -> EncoderInputs:
    ids = torch.tensor([[2, 5, 3, 7, 8, 9, 3]])
    context = torch.tensor([[1, 0, 0, 1, 1, 1, 0]], dtype=torch.bool)
    pad = torch.zeros(1, padding, dtype=torch.int64)
    return EncoderInputs(
        input_ids=torch.cat([ids, pad], dim=1),
        attention_mask=torch.cat([torch.ones_like(ids), pad], dim=1),
        token_type_ids=torch.cat([torch.tensor([[0, 0, 0, 1, 1, 1, 1]]), pad], dim=1),
        context_mask=torch.cat([context, pad.bool()], dim=1),
    )


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_logits_do_not_depend_on_padding_and_spans_stay_in_the_context(architecture: str) -> None:
    model = _model(architecture)
    for task in ARCHITECTURE_TASKS[architecture]:
        bare, padded = model(task, _inputs()), model(task, _inputs(padding=3))
        torch.testing.assert_close(padded[:, :7] if task == "evidence" else padded, bare)
        if task == "evidence":
            assert torch.isfinite(padded[0, :, 0]).tolist() == [True, False, False, True, True, True, *[False] * 4]
        else:
            assert bare.shape == (1, 2)


def test_token_types_reach_the_encoder() -> None:
    model, inputs = _model("criteria"), _inputs()
    other = EncoderInputs(inputs.input_ids, inputs.attention_mask, 1 - inputs.token_type_ids, inputs.context_mask)
    assert not torch.equal(model("criteria", inputs), model("criteria", other))


def test_share_trains_one_encoder_with_both_tasks() -> None:
    model = _model("share")
    for task in ("criteria", "evidence"):
        model.zero_grad()
        model(task, _inputs())[:, 0].sum().backward()
        assert model.get_parameter("encoder.embeddings.word_embeddings.weight").grad is not None


def test_joint_fuses_the_criteria_vector_into_the_evidence_tokens() -> None:
    model = _model("joint")
    before = model("evidence", _inputs())
    model("evidence", _inputs())[:, 0].sum().backward()
    gradient = model.get_parameter("criteria_encoder.embeddings.word_embeddings.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        model.get_parameter("criteria_encoder.embeddings.word_embeddings.weight").mul_(-1)
    assert not torch.equal(model("evidence", _inputs()), before)


def test_joint_criteria_do_not_touch_the_evidence_encoder() -> None:
    model = _model("joint")
    model("criteria", _inputs()).sum().backward()
    assert all(p.grad is None for name, p in model.named_parameters() if name.startswith(("evidence", "fusion")))
