"""What `trainer.py` trains: two encoders made from scratch, and texts made from the generated sample corpus."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel, DebertaV2Model

from evidence_hpo.config.backbones import ScratchBackbone
from evidence_hpo.data.criteria_file import load_criteria
from evidence_hpo.data.sample import generate_corpus
from evidence_hpo.data.sample_grammar import Draw, neutral_sentence
from evidence_hpo.files import digest_directory
from evidence_hpo.models.preparation import prepare
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

HIDDEN, LAYERS, HEADS, INTERMEDIATE = 256, 4, 4, 1024
POSITION_BUCKETS = 256
"""As DeBERTa-v3 has; the study's encoder made from scratch has 64."""
VALIDATION = 64
SAMPLE_SEED = 7
LONG_MEDIAN, LONG_SPREAD, LONG_MOST = 7.6, 0.7, 40
"""Long texts: the number of neutral sentences around the annotated one is log-normal with this median."""
SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """An encoder and texts."""

    name: str
    encoder: str
    max_length: int
    examples: int
    epochs: int


@dataclass(frozen=True)
class Material:
    """What all contestants of a setting train on."""

    setting: Setting
    backbone: Path
    rows: Rows
    train: TokenCache
    validation: TokenCache
    criteria: dict[str, str]


def make_rows(count: int, *, long: bool) -> Rows:
    """Return examples of the criteria task from the generated sample corpus; long ones are padded with sentences."""
    _, annotations = generate_corpus(1500, SAMPLE_SEED)
    columns = (annotations[name] for name in ("post_id", "DSM5_symptom", "sentence_text", "status"))
    found = zip(*columns, strict=True)
    rows = []
    for number, (post, criterion, sentence, status) in zip(range(count), found, strict=False):
        text = _surrounded(sentence, number) if long else sentence
        rows.append(
            {
                "example_id": f"e{number:05d}",
                "post_id": post,
                "criterion": criterion,
                "text": text,
                "label": int(status),
                "spans": [],
            }
        )
    if len(rows) < count:
        raise SystemExit(f"the sample corpus has only {len(rows)} examples; {count} are needed")
    return rows


def _surrounded(sentence: str, number: int) -> str:
    draw = Draw(f"long text {number}")
    factor = random.Random(f"length {number}").lognormvariate(0.0, LONG_SPREAD)
    count = min(LONG_MOST, round(LONG_MEDIAN * factor))
    sentences = [neutral_sentence(draw) for _ in range(count)]
    sentences.insert(draw.between(0, count), sentence)
    return " ".join(sentences)


def make_encoders(folder: Path) -> dict[str, Path]:
    """Write both encoders, of the same size and with the same tokeniser."""
    posts, _ = generate_corpus(1500, SAMPLE_SEED)
    deberta, bert = folder / "deberta", folder / "bert"
    deberta.mkdir()
    settings = ScratchBackbone(hidden=HIDDEN, layers=LAYERS, heads=HEADS, intermediate=INTERMEDIATE, max_positions=512)
    prepare(settings, seed=1, posts=posts["text"].tolist(), directory=deberta)
    shutil.copytree(deberta, bert, ignore=shutil.ignore_patterns("model.safetensors", "config.json"))
    torch.manual_seed(1)
    DebertaV2Model(AutoConfig.from_pretrained(deberta, position_buckets=POSITION_BUCKETS)).save_pretrained(deberta)
    config = BertConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(deberta)),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=512,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(bert)
    return {"deberta": deberta, "bert": bert}


def make_material(setting: Setting, backbone: Path, folder: Path) -> Material:
    rows = make_rows(setting.examples + VALIDATION, long=setting.max_length > 128)
    criteria = load_criteria(None)
    train, validation = rows[: setting.examples], rows[setting.examples :]
    return Material(
        setting=setting,
        backbone=backbone,
        rows=train,
        train=_cache(folder / "train", backbone, train, criteria),
        validation=_cache(folder / "validation", backbone, validation, criteria),
        criteria={criterion["id"]: criterion["text"] for criterion in criteria},
    )


def _cache(folder: Path, backbone: Path, rows: Rows, criteria: list[dict[str, str]]) -> TokenCache:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= {"label": pa.array(columns["label"], pa.int8()), "spans": pa.array(columns["spans"], SPANS)}
    texts, examples, metadata = tokenize_table(
        pa.table(columns),
        criteria,
        PreparedTokenizer(backbone),
        task="criteria",
        backbone_digest=digest_directory(backbone),
        where=folder.name,
    )
    folder.mkdir(parents=True)
    write_table(folder / "texts.arrow", texts, metadata)
    write_table(folder / "examples.arrow", examples, metadata)
    return TokenCache.open(folder / "texts.arrow", folder / "examples.arrow")
