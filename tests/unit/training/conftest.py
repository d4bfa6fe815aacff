"""A tiny corpus, two tiny backbones, their token caches and banks, made once for all tests of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.unit.training.training_toys import FILLER, Banks
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from evidence_hpo.config.parameters import TrialParameters, active_parameters
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.files import digest_directory
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer
from evidence_hpo.training.spec import RunInputs, RunSpec

CRITERIA = [{"id": "SLEEP", "text": "trouble with sleep"}, {"id": "MOOD", "text": "a sad mood"}]
CUES = {"SLEEP": "awake all night", "MOOD": "so very sad"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SPAN = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))


def _example(number: int, post: int, criterion: str, text: str, cue: str | None) -> dict[str, Any]:
    start = text.index(cue) if cue else 0
    return {
        "example_id": f"e{number:04d}",
        "post_id": f"p{post:03d}",
        "criterion": criterion,
        "text": text,
        "label": int(cue is not None),
        "spans": [{"start": start, "end": start + len(cue)}] if cue else [],
    }


def make_examples(posts: int, seed: int, *, longest: int = 60) -> list[dict[str, Any]]:
    """Return two examples a post; the first post has ``longest`` words."""
    rng = np.random.default_rng(seed)
    rows = []
    for post in range(posts):
        words = list(rng.choice(FILLER, longest if post == 0 else int(rng.integers(4, 16))))
        for criterion in CUES:
            present = bool(rng.random() < 0.5)
            place = int(rng.integers(len(words)))
            parts = [*words[:place], CUES[criterion], *words[place:]] if present else words
            rows.append(_example(len(rows), post, criterion, " ".join(parts), CUES[criterion] if present else None))
    return rows


def make_backbone(directory: Path, *, layers: int, seed: int) -> Path:
    words = sorted({*FILLER, *" ".join([*CUES.values(), *(c["text"] for c in CRITERIA)]).split()})
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(directory)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(directory)
    return directory


def example_table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return pa.table(
        {**columns, "label": pa.array(columns["label"], pa.int8()), "spans": pa.array(columns["spans"], SPAN)}
    )


def make_cache(folder: Path, backbone: Path, task: str, rows: list[dict[str, Any]]) -> TokenCache:
    table = example_table(rows)
    tokenizer = PreparedTokenizer(backbone)
    digest = digest_directory(backbone)
    texts, examples, metadata = tokenize_table(
        table, CRITERIA, tokenizer, task=task, backbone_digest=digest, where=task
    )
    write_table(folder / "texts.arrow", texts, metadata)
    write_table(folder / "examples.arrow", examples, metadata)
    return TokenCache.open(folder / "texts.arrow", folder / "examples.arrow")


def make_inputs(root: Path) -> dict[str, RunInputs]:
    """Return inputs of both tasks for two backbones, "tiny" and "other", whose files lie under ``root``."""
    made = {}
    for name, layers, seed in (("tiny", 2, 0), ("other", 1, 1)):
        backbone = make_backbone(root / name, layers=layers, seed=seed)
        caches = {
            split: {
                task: make_cache(root / f"{name}_{task}_{split}", backbone, task, make_examples(posts, seed=number))
                for task in ("criteria", "evidence")
            }
            for number, (split, posts) in enumerate({"train": 24, "validation": 8}.items())
        }
        made[name] = RunInputs(backbone, caches["train"], caches["validation"])
    return made


def small_spec(architecture: str, values: Mapping[str, Any] | None = None, **fields: Any) -> RunSpec:
    """Return a small run's specification from the values that differ from its defaults."""
    base = {"max_length": 32, "head_hidden": 16, "learning_rate": 1e-3, "backbone": "tiny", **(values or {})}
    parameters = TrialParameters(**base).model_dump()
    objective = {1: {"criteria": "macro_f1", "evidence": "char_f1"}.get(architecture), 2: "mean_macro_f1_char_f1"}
    defaults: dict[str, Any] = {
        "seed": 7,
        "epochs": 2,
        "data_fraction": 1.0,
        "rungs": (),
        "objective": objective[len(ARCHITECTURE_TASKS[architecture])],
        "early_stopping_patience": 0,
        "runtime": RuntimeSettings(device="cpu"),
    }
    active = {name: parameters[name] for name in active_parameters(parameters, architecture)}
    return RunSpec(architecture=architecture, parameters=active, **{**defaults, **fields})


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunInputs]:
    """Inputs of both tasks for two backbones, "tiny" and "other"."""
    return make_inputs(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="session")
def banks(inputs: dict[str, RunInputs]) -> Banks:
    """Banks of both tasks for both backbones."""
    return Banks(inputs, example_table(make_examples(24, seed=0)), CRITERIA)


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., RunSpec]:
    """Return :func:`small_spec`."""
    return small_spec
