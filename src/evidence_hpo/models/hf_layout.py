"""A trained model as a folder in Hugging Face layout: one of transformers' own classes where the heads allow.

A model with one encoder and one head can be exactly what transformers calls ``...ForQuestionAnswering`` or
``...ForSequenceClassification``. It is then written as one, and needs nothing but transformers to be used. Every other
model is written as its encoder, which ``AutoModel`` reads, with all other weights in ``heads.safetensors``;
:func:`load_exported` puts them together again.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
)

from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json, write_json
from evidence_hpo.models.architectures import EncoderInputs, JointModel, SingleEncoderModel, build_model
from evidence_hpo.models.backbones import load_encoder, quiet, set_dropout
from evidence_hpo.schemas import read_artefact
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

__all__ = ["DESCRIPTION", "HEADS", "LABELS", "load_exported", "write_model"]

DESCRIPTION = "evidence_hpo.json"
"""File of an exported folder that says what the model is."""

HEADS = "heads.safetensors"
LABELS = {0: "absent", 1: "present"}
_TOLERANCE = 1e-5
_MAPPINGS = {
    "criteria": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "evidence": MODEL_FOR_QUESTION_ANSWERING_MAPPING,
}


@dataclass(frozen=True)
class _Classifier:
    """The head of a family's class for sequence classification: ``last(activation(first(token 0)))``.

    Attributes:
        first: Name of its hidden layer, as wide as the encoder.
        last: Name of its output layer.
        activation: Activation between them; None: the configuration's ``pooler_hidden_act``.
        dropouts: Settings of the dropout before its layers.
    """

    first: str
    last: str
    activation: str | None
    dropouts: tuple[str, ...] = ("classifier_dropout",)


_CLASSIFIERS = {
    "bert": _Classifier("bert.pooler.dense", "classifier", "tanh"),
    "deberta-v2": _Classifier("pooler.dense", "classifier", None, ("pooler_dropout", "cls_dropout")),
    "electra": _Classifier("classifier.dense", "classifier.out_proj", "gelu"),
    "roberta": _Classifier("classifier.dense", "classifier.out_proj", "tanh"),
    "xlm-roberta": _Classifier("classifier.dense", "classifier.out_proj", "tanh"),
}
"""Read off transformers' models, by model type."""


def write_model(
    model: nn.Module,
    architecture: str,
    parameters: Mapping[str, Any],
    source: Path,
    directory: Path,
) -> str | None:
    """Write weights, configuration and tokeniser into ``directory``; equal models give equal bytes.

    Args:
        model: The trained model in evaluation mode, on the CPU; its encoder's configuration is given the run's dropout.
        architecture: criteria, evidence, share or joint.
        parameters: The run's active parameters.
        source: The run's own folder, with the files of the tokeniser and the encoder's configuration.
        directory: An existing directory.

    Returns:
        The class of transformers that the model is written as; None: encoder and heads apart.
    """
    quiet()
    for encoder in _encoders(model).values():
        _describe(encoder.config, parameters)
    _write_tokenizer(source, directory)
    whole = _as_task_model(model, architecture, parameters)
    if whole is not None:
        whole.save_pretrained(directory)
        return type(whole).__name__
    for name, encoder in _encoders(model).items():
        encoder.save_pretrained(directory / _folder(name))
    heads = {name: weight.contiguous() for name, weight in model.state_dict().items() if not _of_encoder(name)}
    save_file(heads, directory / HEADS, metadata={"format": "pt"})
    return None


def load_exported(directory: str | Path) -> SingleEncoderModel | JointModel:
    """Return an exported model whose heads are no class of transformers; call it as ``model(task, inputs)``.

    Args:
        directory: An exported folder; see :func:`write_model`.

    Raises:
        DataError: A file is missing or does not fit, or transformers alone loads the model.
    """
    directory = Path(directory)
    described = read_artefact(directory / DESCRIPTION, "export")
    if described["transformers_class"] is not None:
        raise DataError(f"{directory}: is a {described['transformers_class']}; load it with its from_pretrained")
    architecture, parameters = described["architecture"], described["parameters"]
    names = ("criteria_encoder", "evidence_encoder") if architecture == "joint" else ("encoder",)
    encoders = [load_encoder(directory / _folder(name), dropout=parameters["backbone_dropout"]) for name in names]
    model = build_model(architecture, parameters, encoders)
    path = directory / HEADS
    try:
        missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: does not hold the heads of the model in {DESCRIPTION}; export it again") from error
    wrong = [name for name in missing if not _of_encoder(name)] + unexpected
    if wrong:
        raise DataError(f"{path}: {wrong[0]} is missing or not known; export the model again")
    return model.eval()


def _encoders(model: nn.Module) -> dict[str, PreTrainedModel]:
    found: dict[str, Any] = {name: part for name, part in model.named_children() if name.endswith("encoder")}
    return found


def _folder(encoder: str) -> str:
    """Return where an encoder lies in the folder: the first one at the top, where ``AutoModel`` looks for it."""
    return encoder if encoder == "evidence_encoder" else ""


def _of_encoder(weight: str) -> bool:
    return weight.split(".", 1)[0].endswith("encoder")


def _describe(config: PreTrainedConfig, parameters: Mapping[str, Any]) -> None:
    set_dropout(config, parameters["backbone_dropout"])
    if hasattr(config, "_name_or_path"):
        del config._name_or_path  # a path of this machine


def _write_tokenizer(source: Path, directory: Path) -> None:
    """Write the tokeniser so that it gives the inputs of training.

    A post that spells out a special token (``[SEP]``) is read as ordinary text, and token types are given only where
    the encoder was trained with them.
    """
    prepared = PreparedTokenizer(source)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if not prepared.token_types:
        inputs.remove("token_type_ids")
    settings = read_json(source / "tokenizer_config.json")
    changes = {"model_input_names": inputs, "split_special_tokens": True}
    write_json(directory / "tokenizer_config.json", {**settings, **changes})
    (directory / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())


def _as_task_model(model: nn.Module, architecture: str, parameters: Mapping[str, Any]) -> PreTrainedModel | None:
    """Return the model as one of transformers' classes, its weights shared; None if it is none of them."""
    if architecture not in _MAPPINGS:
        return None
    config: PreTrainedConfig = copy.deepcopy(_encoders(model)["encoder"].config)
    layers = _layers(config, architecture, parameters)
    mapping = _MAPPINGS[architecture]
    if layers is None or type(config) not in mapping:
        return None
    family = cast("type[PreTrainedModel]", mapping[type(config)])
    with no_init_weights():
        whole = family(config)
    names = {"encoder": whole.base_model_prefix, **layers}
    weights = {_renamed(name, names): weight for name, weight in model.state_dict().items()}
    try:
        whole.load_state_dict(weights, assign=True)
    except RuntimeError:  # the family's class has other layers
        return None
    whole.train(False)
    return whole if _same_logits(model, whole, architecture) else None


def _layers(config: PreTrainedConfig, architecture: str, parameters: Mapping[str, Any]) -> dict[str, str] | None:
    """Return our layers' names with those of transformers' class, whose settings are completed; None if it differs."""
    if architecture == "evidence":
        return {"evidence_head.1": "qa_outputs"} if parameters["head_layers"] == 0 else None
    head = _CLASSIFIERS.get(config.model_type)
    if head is None or parameters["head_layers"] != 1 or parameters["pooling"] != "cls":
        return None
    if parameters["head_hidden"] not in (config.hidden_size, [config.hidden_size]) or head.activation not in (
        None,
        parameters["head_activation"],
    ):
        return None
    if head.activation is None:
        config.pooler_hidden_act = parameters["head_activation"]
        config.pooler_hidden_size = config.hidden_size
    for name in head.dropouts:
        setattr(config, name, parameters["dropout"])
    config.id2label = dict(LABELS)
    config.label2id = {label: number for number, label in LABELS.items()}
    config.problem_type = "single_label_classification"
    return {"criteria_head.1": head.first, "criteria_head.4": head.last}


def _renamed(weight: str, names: Mapping[str, str]) -> str:
    for own, other in names.items():
        if weight.startswith(f"{own}."):
            return other + weight.removeprefix(own)
    return weight


@torch.inference_mode()
def _same_logits(model: nn.Module, whole: PreTrainedModel, architecture: str) -> bool:
    """Return whether both give the same logits for two inputs of which the second is padded."""
    inputs = _probe(whole.config)
    arguments = {"input_ids": inputs.input_ids, "attention_mask": inputs.attention_mask}
    if (getattr(whole.config, "type_vocab_size", None) or 0) > 1:
        arguments["token_type_ids"] = inputs.token_type_ids
    found = whole(**arguments)
    theirs: Tensor = found.logits if architecture == "criteria" else torch.stack([*found[:2]], dim=-1)
    ours = model(architecture, inputs)
    if architecture == "evidence":
        ours, theirs = ours[inputs.context_mask], theirs[inputs.context_mask]
    return torch.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE)


def _probe(config: PreTrainedConfig) -> EncoderInputs:
    ids = torch.arange(24).view(2, 12) % config.vocab_size
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    types = torch.zeros_like(ids)
    types[:, 5:] = 1
    return EncoderInputs(ids, mask, types, mask.bool())
