"""Every mistake in a configuration is one line that names the key, the value and what is allowed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration, read_yaml
from evidence_hpo.errors import ConfigurationError

RANGE = {"low": 0.1, "high": 0.2}


def when(**conditions: Any) -> dict[str, Any]:
    return {**RANGE, "when": conditions}


# (path of keys, value, words of the one line)
BAD: list[tuple[tuple[Any, ...], Any, list[str]]] = [
    (("serch",), {}, ["serch", "unknown key", "did you mean 'search'"]),
    (("study", "seeds"), 3, ["study.seeds", "did you mean 'seed'"]),
    (("study", "seed"), -1, ["study.seed", "-1", "greater than or equal to 0"]),
    (("study", "seed"), "many", ["study.seed", "'many'", "integer"]),
    (("study", "name"), "My Study", ["study.name", "'My Study'"]),
    (("study", "architectures"), [], ["study.architectures", "at least 1"]),
    (("study", "architectures"), ["criteria", "criteria"], ["study.architectures", "named twice"]),
    (("study", "architectures"), ["criterion"], ["study.architectures", "'criterion'", "'criteria'"]),
    (("data", "corpus", "souce"), "sample", ["data.corpus.souce", "did you mean 'source'"]),
    (("data", "corpus", "source"), "csv", ["data.corpus.source", "'csv'", "'files'"]),
    (("data", "corpus", "source"), "files", ["data.corpus", "files.posts", "files.annotations"]),
    (("data", "corpus", "sample", "posts"), 5, ["data.corpus.sample.posts", "5", "60"]),
    (("data", "corpus", "alignment", "fuzzy_threshold"), 0.8, ["fuzzy_threshold", "0.8", "50"]),
    (
        ("data", "corpus", "criteria_file"),
        "no/such.json",
        ["data.corpus.criteria_file", "no/such.json", "no such file"],
    ),
    (("data", "split", "file"), "split.csv", ["data.split.file", "split.csv", "no such file"]),
    (("data", "split", "train"), 0.9, ["data.split", "1.1", "not 1"]),
    (("data", "split", "test"), 0, ["data.split.test", "greater than 0"]),
    (("data", "examples", "criteria", "unit"), "document", ["unit", "'document'", "'post'"]),
    (("data", "examples", "evidence", "negatives_per_positive"), -1, ["negatives_per_positive", "-1"]),
    (("backbones",), {}, ["backbones", "at least one encoder"]),
    (("backbones", "small", "hiden"), 3, ["backbones.small.hiden", "did you mean 'hidden'"]),
    (("backbones", "small", "source"), "hubb", ["backbones.small", "'hub'"]),
    (("backbones", "small", "heads"), 3, ["backbones.small", "hidden 128", "heads 3"]),
    (("backbones", "extra"), {"source": "folder", "path": "nowhere"}, ["backbones.extra.path", "nowhere"]),
    (("backbones", "extra"), {"source": "hub"}, ["backbones.extra.model", "required"]),
    (("training", "parameters", "backbone"), "smal", ["training.parameters.backbone", "did you mean 'small'"]),
    (("training", "parameters", "learning_rate"), 0, ["learning_rate", "greater than 0"]),
    (("training", "parameters", "max_length"), 4096, ["max_length", "4096", "max_positions"]),
    (("training", "parameters", "frozen_layers"), 9, ["frozen_layers", "9", "layers"]),
    (("training", "parameters", "backbone"), "roberta_bas", ["did you mean 'roberta_base'"]),
    (("training", "parameters", "head_hidden"), 4, ["training.parameters.head_hidden", "4", "8 to 4096"]),
    (("training", "parameters", "head_hidden"), [64, 32], ["head_hidden: [64, 32] has 2 widths", "head_layers is 0"]),
    (("training", "parameters", "batch_size"), 24, ["batch_size 24", "16, 32, 64, 128"]),
    (
        ("training", "parameters", "gradient_accumulation_steps"),
        3,
        ["gradient_accumulation_steps 3", "16, 32, 64, 128"],
    ),
    (("training", "parameters", "dropout"), float("nan"), ["dropout", "finite"]),
    (("training", "checkpoints", "keep_best_k"), 3, ["training.checkpoints", "keep_best_k 3", "keep_best_k_max 2"]),
    (("training", "checkpoints", "keep_last"), 3, ["training.checkpoints.keep_last", "did you mean 'keep_last_n'"]),
    (("training", "checkpoints", "keep_last_n"), 0, ["training.checkpoints.keep_last_n", "0"]),
    (("training", "checkpoints", "max_total_size_gb"), 0, ["max_total_size_gb", "greater than 0"]),
    (("training", "checkpoints", "disk_space_threshold_percent"), 100, ["threshold_percent", "100"]),
    (("training", "runtime", "device"), "tpu", ["training.runtime.device", "'tpu'"]),
    (
        ("training", "runtime", "precision"),
        "bf16",
        ["training.runtime.precision: 'bf16'", "training.parameters.precision"],
    ),
    (
        ("training", "runtime", "attention"),
        "flash_attention_2",
        ["training.parameters.precision: fp32", "bf16 or fp16"],
    ),
    (("training", "parameters", "precision"), "fp8", ["training.parameters.precision", "'fp8'", "'bf16'"]),
    (("spaces", "sample", "precision"), {"choices": ["fp32", "bf32"]}, ["spaces.sample: precision: 'bf32'", "'bf16'"]),
    (("spaces", "sample", "learning_rat"), RANGE, ["learning_rat", "did you mean 'learning_rate'"]),
    (("spaces", "sample", "learning_rate"), {"low": 2, "high": 1}, ["learning_rate", "low 2 is not below high 1"]),
    (("spaces", "sample", "learning_rate"), {"low": 0, "high": 1, "log": True}, ["learning_rate", "above 0"]),
    (("spaces", "sample", "learning_rate"), {"low": "a", "high": 1}, ["learning_rate.low", "'a'", "number"]),
    (("spaces", "sample", "dropout"), {"low": 0.1, "high": 0.9}, ["dropout", "0.9", "0.5"]),
    (("spaces", "sample", "pooling"), {"choices": ["clz"]}, ["pooling", "'clz'", "'cls'"]),
    (("spaces", "sample", "pooling"), {"choices": []}, ["pooling.choices", "at least 1"]),
    (("spaces", "sample", "pooling"), {"choices": ["cls", "cls"]}, ["pooling", "listed twice"]),
    (("spaces", "sample", "pooling"), RANGE, ["pooling", "takes choices"]),
    (("spaces", "sample", "focal_gamma"), RANGE, ["focal_gamma", "acts on nothing", "loss"]),
    (("spaces", "sample", "task_weight_criteria"), RANGE, ["task_weight_criteria", "acts on none"]),
    (
        ("spaces", "sample", "head_hidden"),
        {"choices": [64, [64, 32]]},
        ["spaces.sample.head_hidden", "[64, 32] needs head_layers 2", "may be 1"],
    ),
    (("spaces", "sample", "batch_size"), {"choices": [8, 48]}, ["batch_size", "48", "16, 32, 64, 128"]),
    (("spaces", "sample", "batch_size"), {"low": 8, "high": 64}, ["batch_size", "takes choices"]),
    (("spaces", "sample", "backbone"), {"choices": ["bert"]}, ["spaces.sample.backbone", "'bert'"]),
    (("search", "objective", "criteria"), "macrof1", ["objective", "did you mean 'macro_f1'"]),
    (("search", "stages"), [], ["search.stages", "at least 1"]),
    (("search", "stages", 0, "space"), None, ["stage1", "no stage before it"]),
    (("search", "stages", 0, "space"), "smple", ["space", "did you mean 'sample'"]),
    (("search", "stages", 0, "trials"), 0, ["trials", "greater than or equal to 1"]),
    (("search", "stages", 0, "first_round"), 99, ["first_round 99", "trials"]),
    (("search", "stages", 1, "name"), "stage1", ["same name", "stage1"]),
    (("search", "stages", 1, "name"), "retrain", ["retrain", "taken"]),
    (("search", "stages", 1, "epoch"), 3, ["epoch", "did you mean 'epochs'"]),
    (("search", "stages", 1, "pruner", "rungs"), [3, 1], ["rungs", "increase"]),
    (("search", "stages", 1, "pruner", "rungs"), [60], ["rungs", "60", "epochs"]),
    (("search", "stages", 1, "narrowing"), {"quantiles": [0.9, 0.1]}, ["quantiles", "increase"]),
    (("retrain", "top_k"), 45, ["retrain.top_k", "45", "trials"]),
    (("evaluation", "confidence"), 95, ["evaluation.confidence", "95", "less than 1"]),
    (("evaluation", "thresholds"), "perhaps", ["evaluation.thresholds", "'perhaps'", "'global'"]),
    (("spaces", "sample", "dropout"), when(poolin=["cls"]), ["dropout.when.poolin", "did you mean 'pooling'"]),
    (
        ("spaces", "sample", "dropout"),
        when(schedule=["cosin"]),
        ["dropout.when.schedule", "'cosin'", "'cosine'"],
    ),
    (
        ("spaces", "sample", "dropout"),
        when(schedule=["constant"]),
        ["when.schedule", "'constant'", "['linear', 'cosine']"],
    ),
    (("spaces", "sample", "dropout"), when(head_layers=[1, 3]), ["when.head_layers", "3 is not within 0 to 1"]),
    (
        ("spaces", "sample", "dropout"),
        when(weight_decay=[0.1]),
        ["when.weight_decay", "real numbers", "give it choices"],
    ),
    (
        ("spaces", "sample", "dropout"),
        when(optimizer=["lion"]),
        ["when.optimizer", "always adamw", "remove dropout"],
    ),
    (("spaces", "sample", "dropout"), when(schedule=[]), ["dropout.when", "schedule", "at least one value"]),
    (("spaces", "sample", "dropout"), {**RANGE, "wen": {}}, ["dropout.wen", "did you mean 'when'"]),
    (
        ("spaces", "sample", "schedule"),
        {"choices": ["linear", "cosine"], "when": {"schedule": ["linear"]}},
        ["schedule.when", "schedule depends on schedule", "remove a condition"],
    ),
    (
        ("spaces", "sample"),
        {
            "schedule": {"choices": ["linear", "cosine"], "when": {"pooling": ["cls"]}},
            "pooling": {"choices": ["cls", "mean"], "when": {"schedule": ["linear"]}},
        },
        ["pooling depends on schedule depends on pooling", "remove a condition"],
    ),
    (
        ("spaces", "sample"),
        {
            "head_layers": {"low": 0, "high": 2, "when": {"head_activation": ["gelu"]}},
            "head_activation": {"choices": ["relu", "gelu"]},
        },
        ["head_layers", "depends on head_activation", "remove a condition"],
    ),
    (
        ("spaces", "sample"),
        {
            "batch_size": {"choices": [8, 16], "when": {"optimizer": ["adamw"]}},
            "gradient_accumulation_steps": {"choices": [2, 4]},
        },
        ["batch_size.when", "gradient_accumulation_steps", "the same `when`"],
    ),
    (
        ("spaces", "sample"),
        {
            "head_hidden": {"low": 16, "high": 64},
            "head_layers": {"low": 0, "high": 2},
            "dropout": when(head_hidden=[[32, 16]]),
        },
        ["dropout.when.head_hidden", "[32, 16] is not within 16 to 64"],
    ),
    (("search", "stages", 0, "sampler"), "tpee", ["sampler", "'tpee'", "'tpe_multivariate'"]),
    (("search", "stages", 0, "grid_points"), 1, ["grid_points", "1", "greater than or equal to 2"]),
]


def _with(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(default_configuration().model_dump(mode="json"))
    place: Any = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "words"), BAD, ids=lambda item: ".".join(map(str, item)) if isinstance(item, tuple) else ""
)
def test_mistake_is_one_clear_line(path: tuple[Any, ...], value: Any, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(_with(path, value), tmp_path)
    lines = str(caught.value).splitlines()
    matching = [line for line in lines if all(word in line for word in words)]
    assert matching, f"no line with {words} in:\n{caught.value}"
    assert all(line.startswith("configuration: ") for line in lines)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_reported_at_once() -> None:
    raw = _with(("study", "seed"), -1)
    raw["serch"] = {}
    raw["retrain"]["top_k"] = 0
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(raw)
    assert len(str(caught.value).splitlines()) == 3


def test_a_known_model_needs_no_entry_and_an_entry_overrides_it() -> None:
    raw = _with(("spaces", "sample", "backbone"), {"choices": ["small", "roberta_base", "deberta_v3_large"]})
    raw["training"]["parameters"]["backbone"] = "mental_bert"
    raw["backbones"]["roberta_base"] = {"source": "hub", "model": "me/mine", "revision": "v1"}
    found = load_configuration(raw).backbones
    assert set(found) == {"small", "roberta_base", "deberta_v3_large", "mental_bert"}
    assert found["roberta_base"].model_dump() == {"source": "hub", "model": "me/mine", "revision": "v1"}
    assert found["mental_bert"].model_dump() == {
        "source": "hub",
        "model": "mental/mental-bert-base-uncased",
        "revision": "main",
    }


def test_a_list_of_widths_is_allowed_where_it_fits_every_number_of_layers() -> None:
    raw = _with(("spaces", "sample", "head_hidden"), {"choices": [[64, 32], 128]})
    raw["spaces"]["sample"]["head_layers"] = {"choices": [0, 2]}
    assert load_configuration(raw).spaces["sample"].root["head_hidden"].choices == ([64, 32], 128)


def test_yaml_exponents_without_a_point_are_numbers() -> None:
    raw = _with(("spaces", "sample", "learning_rate"), {"low": "1e-5", "high": "1e-3", "log": True})
    space = load_configuration(raw).spaces["sample"].root["learning_rate"]
    assert space.model_dump(exclude={"when"}) == {"low": 1e-5, "high": 1e-3, "log": True}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a: [1", "not valid YAML in line"), (b"- a", "must be a mapping"), (b"\xff\xfe\x00a", "not UTF-8")],
)
def test_unreadable_file_is_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_yaml(path)
