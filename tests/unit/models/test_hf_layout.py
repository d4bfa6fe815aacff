"""Exported models: transformers alone gives the same logits where the heads allow, elsewhere this package does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_directory, read_json, write_json
from evidence_hpo.models import hf_layout
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS, EncoderInputs, build_model, encoder_count
from evidence_hpo.models.backbones import encoder_options
from evidence_hpo.models.hf_layout import DESCRIPTION, HEADS, load_exported, write_model
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

WIDTH = 16
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[", "]", "SEP", *"abcdefghijklmnopqrstuvw"]
SIZE = {
    "vocab_size": len(WORDS),
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
RELATIVE: dict[str, Any] = {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 16}
V3: dict[str, Any] = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    **RELATIVE,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZE),
    "electra": ElectraConfig(**SIZE, embedding_size=8),
    "roberta": RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=0),
    "xlm-roberta": XLMRobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=0),
    "deberta-v2": DebertaV2Config(**SIZE, **V3),
    "deberta-v2-typed": DebertaV2Config(**SIZE, **V3, type_vocab_size=2),
    "distilbert": DistilBertConfig(vocab_size=len(WORDS), dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=24),
    "modernbert": ModernBertConfig(
        **SIZE, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
    ),
}
CLASSIFIERS = [
    ("bert", "tanh", "BertForSequenceClassification"),
    ("electra", "gelu", "ElectraForSequenceClassification"),
    ("roberta", "tanh", "RobertaForSequenceClassification"),
    ("xlm-roberta", "tanh", "XLMRobertaForSequenceClassification"),
    *[("deberta-v2", name, "DebertaV2ForSequenceClassification") for name in ("gelu", "tanh", "relu", "silu")],
    ("deberta-v2-typed", "gelu", "DebertaV2ForSequenceClassification"),
]
PLAIN: dict[str, Any] = {
    "pooling": "cls",
    "head_layers": 1,
    "head_hidden": WIDTH,
    "head_activation": "tanh",
    "dropout": 0.2,
    "backbone_dropout": 0.3,
}
LINEAR = {"head_layers": 0, "dropout": 0.2, "backbone_dropout": 0.3}
DIGEST = "0" * 64


def make_source(folder: Path, config: PreTrainedConfig) -> Path:
    """A run's own folder as far as the export reads it: tokeniser and the encoder's configuration."""
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names).save_pretrained(folder)
    config.save_pretrained(folder)
    return folder


def make_model(family: str, architecture: str, parameters: dict[str, Any]) -> Any:
    """A model whose weights are large enough for every layer to show in the logits."""
    torch.manual_seed(3)
    config = CONFIGS[family]
    encoders = [AutoModel.from_config(config, **encoder_options(config)) for _ in range(encoder_count(architecture))]
    model = build_model(architecture, parameters, encoders).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.3)
    return model


def batch() -> EncoderInputs:
    ids = torch.randint(4, len(WORDS), (3, 14), generator=torch.Generator().manual_seed(5))
    ids[:, 0] = 2
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    ids[1, 10:] = 0
    types = (torch.arange(14) > 5).long().expand(3, 14)
    context = (types == 1) & (mask == 1)
    context[:, 0] = True
    return EncoderInputs(ids, mask, types, context)


def arguments(config: PreTrainedConfig) -> dict[str, Tensor]:
    inputs = batch()
    known = {"input_ids": inputs.input_ids, "attention_mask": inputs.attention_mask}
    typed = (getattr(config, "type_vocab_size", None) or 0) > 1
    return known | ({"token_type_ids": inputs.token_type_ids} if typed else {})


def export(folder: Path, family: str, architecture: str, parameters: dict[str, Any]) -> tuple[Any, str | None]:
    """Write a model into ``folder`` / "out" with the description that a step would add."""
    model = make_model(family, architecture, parameters)
    (folder / "out").mkdir(parents=True)
    source = make_source(folder / "source", CONFIGS[family])
    written = write_model(model, architecture, parameters, source, folder / "out")
    files = {path.name: DIGEST for path in (folder / "out").iterdir()}
    source_of_data = {"source": {"kind": "files"}, "corpus": {"posts": DIGEST}, "criteria_unit": "post"}
    description = {
        "study": "toy",
        "architecture": architecture,
        "tasks": list(ARCHITECTURE_TASKS[architecture]),
        "transformers_class": written,
        "seed": 0,
        "training_seed": 1,
        "trained_on": ["train"],
        "parameters": parameters,
        "max_answer_tokens": 64,
        "criteria": [{"id": "A", "name": "A", "text": "a b"}],
        "thresholds": {"criteria": {"strategy": "none", "decision": {"A": 0.5}, "global": 0.5}},
        "validation": {"objective": "macro_f1", "value": 0.5, "best_epoch": 1.0, "of_seeds": [0.5]},
        "backbone": {},
        "data": {**source_of_data, "splits": {}, "examples": {}, "tokens": {}},
        "run": {
            "key": DIGEST,
            "epochs": 1,
            "refit_epochs": None,
            "precision": "fp32",
            "versions": {},
            "code": DIGEST,
            "weights": DIGEST,
        },
        "evaluation": DIGEST,
        "files": files,
    }
    write_json(folder / "out" / DESCRIPTION, description)
    return model, written


@pytest.mark.parametrize(("family", "activation", "expected"), CLASSIFIERS)
def test_transformers_alone_gives_the_logits_of_a_plain_classifier(
    family: str, activation: str, expected: str, tmp_path: Path
) -> None:
    model, written = export(tmp_path, family, "criteria", {**PLAIN, "head_activation": activation})
    assert written == expected
    loaded, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.inference_mode():
        theirs, ours = loaded(**arguments(loaded.config)).logits, model("criteria", batch())
    assert (ours[:, 0] - ours[:, 1]).std() > 0.01, "the logits hardly depend on the input: this would prove little"
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)
    config = read_json(tmp_path / "out/config.json")
    assert config["architectures"] == [expected]
    assert config["id2label"] == {"0": "absent", "1": "present"}
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.3, 0.3)
    before_the_head = "pooler_dropout" if family.startswith("deberta") else "classifier_dropout"
    assert config[before_the_head] == 0.2


@pytest.mark.parametrize("family", sorted(set(CONFIGS) - {"modernbert"}))
def test_transformers_alone_gives_the_logits_of_a_linear_span_head(family: str, tmp_path: Path) -> None:
    model, written = export(tmp_path, family, "evidence", LINEAR)
    assert written is not None
    assert written.endswith("ForQuestionAnswering")
    loaded, info = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.inference_mode():
        found, ours = loaded(**arguments(loaded.config)), model("evidence", batch())
    theirs = torch.stack([found.start_logits, found.end_logits], dim=-1)
    context = batch().context_mask
    torch.testing.assert_close(theirs[context], ours[context], rtol=1e-5, atol=1e-5)


OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "criteria", {"pooling": "mean"}),
    ("bert", "criteria", {"pooling": "attention"}),
    ("bert", "criteria", {"head_activation": "gelu"}),
    ("roberta", "criteria", {"head_activation": "relu"}),
    ("deberta-v2", "criteria", {"head_hidden": 8}),
    ("electra", "criteria", {"head_layers": 2}),
    ("electra", "criteria", {"head_layers": 0}),
    ("distilbert", "criteria", {}),
    ("deberta-v2", "evidence", {}),
    ("modernbert", "evidence", {"head_layers": 0}),
    ("roberta", "share", {"pooling": "max"}),
    ("bert", "joint", {"pooling": "attention"}),
    ("deberta-v2-typed", "joint", {}),
]


@pytest.mark.parametrize(("family", "architecture", "changes"), OTHERS)
def test_every_other_model_is_put_together_by_this_package(
    family: str, architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model, written = export(tmp_path, family, architecture, {**PLAIN, **changes})
    assert written is None
    loaded = load_exported(tmp_path / "out")
    assert not loaded.training
    with torch.inference_mode():
        for task in ARCHITECTURE_TASKS[architecture]:
            assert torch.equal(loaded(task, batch()), model(task, batch()))
    encoder = AutoModel.from_pretrained(tmp_path / "out", **encoder_options(CONFIGS[family]))
    own = model.criteria_encoder if architecture == "joint" else model.encoder
    with torch.inference_mode():
        inputs = arguments(encoder.config)
        assert torch.equal(encoder(**inputs).last_hidden_state, own(**inputs).last_hidden_state)
    assert (tmp_path / "out/evidence_encoder/model.safetensors").exists() == (architecture == "joint")


def test_a_class_that_computes_something_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = hf_layout._Classifier("bert.pooler.dense", "classifier", "gelu")  # BERT's pooler has tanh
    monkeypatch.setitem(hf_layout._CLASSIFIERS, "bert", wrong)
    model, written = export(tmp_path, "bert", "criteria", {**PLAIN, "head_activation": "gelu"})
    assert written is None
    with torch.inference_mode():
        assert torch.equal(load_exported(tmp_path / "out")("criteria", batch()), model("criteria", batch()))


@pytest.mark.parametrize(("architecture", "parameters"), [("criteria", PLAIN), ("joint", PLAIN), ("evidence", LINEAR)])
def test_equal_models_give_equal_bytes_and_nothing_but_safetensors_and_json(
    architecture: str, parameters: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        export(tmp_path / name, "bert", architecture, parameters)
    assert digest_directory(tmp_path / "one/out") == digest_directory(tmp_path / "two/out")
    files = [path for path in (tmp_path / "one/out").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for path in files:
        assert str(tmp_path).encode() not in path.read_bytes(), "a path of this machine"


@pytest.mark.parametrize(("family", "typed"), [("bert", True), ("roberta", False)])
def test_the_tokeniser_gives_the_inputs_of_training(family: str, typed: bool, tmp_path: Path) -> None:
    export(tmp_path, family, "evidence", LINEAR)
    prepared = PreparedTokenizer(tmp_path / "source")
    encoded = AutoTokenizer.from_pretrained(tmp_path / "out")("a b", "c [SEP] d")
    parts = [prepared.encode([text]).input_ids.tolist() for text in ("a b", "c [SEP] d")]
    template = prepared.template
    assert len(parts[1]) == 5, "the post's [SEP] is ordinary text"
    assert encoded["input_ids"] == [*template.prefix, *parts[0], *template.middle, *parts[1], *template.suffix]
    assert ("token_type_ids" in encoded) == typed


def test_a_folder_that_does_not_hold_the_heads_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "plain", "bert", "criteria", PLAIN)
    with pytest.raises(DataError, match="is a BertForSequenceClassification; load it with"):
        load_exported(tmp_path / "plain/out")
    export(tmp_path / "mean", "bert", "criteria", {**PLAIN, "pooling": "mean"})
    export(tmp_path / "two", "bert", "criteria", {**PLAIN, "head_layers": 2})
    heads = tmp_path / "mean/out" / HEADS
    heads.write_bytes((tmp_path / "two/out" / HEADS).read_bytes())
    with pytest.raises(DataError, match=r"heads\.safetensors: "):
        load_exported(tmp_path / "mean/out")
    heads.unlink()
    with pytest.raises(DataError, match=r"heads\.safetensors: no such file"):
        load_exported(tmp_path / "mean/out")
