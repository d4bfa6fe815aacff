"""The step that tokenises the varied examples of a bank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank_toys import CRITERIA, bank_table, evidence_examples

from evidence_hpo.augmentation.banks import BankName, write_bank
from evidence_hpo.config.banks import UNVARIED, Bank, Variation
from evidence_hpo.data import tables
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_directory, write_json
from evidence_hpo.steps.tokenize_augmented import tokenize_augmented
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

BANK = Bank("original", "aeda", 1)
EXAMPLES = evidence_examples(4)


@pytest.fixture
def inputs(tmp_path: Path, tokenizer_directory: Path) -> dict[str, Any]:
    tables.write_table(tmp_path / "examples.parquet", EXAMPLES.to_pandas(), tables.EXAMPLES)
    write_json(tmp_path / "criteria.json", CRITERIA)
    facts = {"layers": 1, "hidden": 8, "max_positions": 64, "vocabulary": 9, "parameters": 9}
    digest = digest_directory(tokenizer_directory)
    manifest = {"name": "b", "source": "scratch", "digest": digest, "model_type": "deberta-v2", **facts}
    write_json(tmp_path / "backbone.json", manifest)
    table = bank_table(EXAMPLES, BANK, variants=2, missing=[1])
    return {
        "task": "evidence",
        "whole_text": False,
        "examples": tmp_path / "examples.parquet",
        "evidence": tmp_path / "examples.parquet",
        "parts": [part(tmp_path, number, table.slice(number * 5, 5)) for number in range(2)],
        "criteria": tmp_path / "criteria.json",
        "backbone": tokenizer_directory,
        "manifest": tmp_path / "backbone.json",
        "texts": tmp_path / "texts.arrow",
        "rows": tmp_path / "rows.arrow",
    }


def part(folder: Path, number: int, table: pa.Table, *, bank: Bank = BANK, task: str = "evidence") -> Path:
    path = folder / f"part_{number}.parquet"
    write_bank(path, table, BankName(task, *bank, 0.1), {"evidence-hpo": "0"})
    return path


def test_the_step_writes_what_a_run_maps(inputs: dict[str, Any]) -> None:
    tokenize_augmented(**inputs)
    bank = TokenBank.open(inputs["texts"], inputs["rows"])
    assert bank.bank == BANK
    made = pa.concat_tables([pq.read_table(path) for path in inputs["parts"]])
    assert int(bank.own.sum()) == made.num_rows - made.column("text").null_count
    assert bank.metadata.backbone_digest == digest_directory(inputs["backbone"])
    assert list(bank.metadata.contents) == ["/-1"]
    assert bank.own[0] == 1
    texts, _ = bank.taken(pa.array(range(len(bank))).to_numpy())
    assert len(texts) <= int(bank.own.sum()) + len(CRITERIA), "an altered post is tokenised once"


def test_parts_change_nothing(inputs: dict[str, Any], tmp_path: Path) -> None:
    tokenize_augmented(**inputs)
    before = [path.read_bytes() for path in (inputs["texts"], inputs["rows"])]
    whole = pa.concat_tables([pq.read_table(path) for path in inputs["parts"]])
    tokenize_augmented(**{**inputs, "parts": [part(tmp_path, 9, whole)]})
    assert [path.read_bytes() for path in (inputs["texts"], inputs["rows"])] == before
    tokenize_augmented(**{**inputs, "parts": inputs["parts"][::-1]})
    assert [path.read_bytes() for path in (inputs["texts"], inputs["rows"])] == before


def test_parts_of_other_banks_are_refused(inputs: dict[str, Any], tmp_path: Path) -> None:
    table = pq.read_table(inputs["parts"][0])
    other = part(tmp_path, 3, table, bank=Bank("original", "casing", 1))
    with pytest.raises(DataError, match="are not the parts of one bank of evidence"):
        tokenize_augmented(**{**inputs, "parts": [inputs["parts"][0], other]})
    with pytest.raises(DataError, match="are not the parts of one bank of criteria"):
        tokenize_augmented(**{**inputs, "task": "criteria"})
    assert not inputs["texts"].exists()


def test_another_backbone_than_the_manifests_is_refused(inputs: dict[str, Any], tmp_path: Path) -> None:
    described = json.loads(inputs["manifest"].read_text())
    write_json(inputs["manifest"], {**described, "digest": "0" * 64})
    with pytest.raises(DataError, match="differs from its manifest"):
        tokenize_augmented(**inputs)


def test_a_bank_is_no_token_cache_and_the_other_way_round(inputs: dict[str, Any]) -> None:
    tokenize_augmented(**inputs)
    with pytest.raises(DataError, match="delete it and run tokenize_examples again"):
        TokenCache.open(inputs["texts"], inputs["rows"])
    content = inputs["rows"].read_bytes()
    inputs["rows"].write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged token cache; delete it and run tokenize_augmented again"):
        TokenBank.open(inputs["texts"], inputs["rows"])


def test_texts_of_one_bank_with_rows_of_another_are_refused(inputs: dict[str, Any], tmp_path: Path) -> None:
    tokenize_augmented(**inputs)
    fewer = {**inputs, "parts": inputs["parts"][:1], "rows": tmp_path / "b.arrow", "texts": tmp_path / "c.arrow"}
    tokenize_augmented(**fewer)
    with pytest.raises(DataError, match=r"do not belong together \(digest differs\); run tokenize_augmented"):
        TokenBank.open(inputs["texts"], fewer["rows"])


def test_the_content_of_each_source_stands_for_itself(inputs: dict[str, Any], tmp_path: Path) -> None:
    chained = Bank("simple", "wordnet", 0)
    sources = [Variation("aeda", 0), Variation("casing", 0)]
    digests = []
    for number, own in enumerate((sources, sources[:1])):
        table = bank_table(EXAMPLES, chained, variants=2, sources=own)
        folder = tmp_path / str(number)
        folder.mkdir()
        files = {"texts": folder / "texts.arrow", "rows": folder / "rows.arrow"}
        tokenize_augmented(**{**inputs, **files, "parts": [part(folder, 0, table, bank=chained)]})
        digests.append(TokenBank.open(files["texts"], files["rows"]))
    both, one = digests
    assert both.digest(sources[:1]) == one.digest(sources[:1])
    assert both.digest(sources) != both.digest(sources[:1])
    assert both.digest([UNVARIED]) == one.digest([UNVARIED]) != one.digest(sources[:1])


def test_the_tokens_are_those_of_the_altered_text(inputs: dict[str, Any]) -> None:
    tokenize_augmented(**inputs)
    bank = TokenBank.open(inputs["texts"], inputs["rows"])
    texts, rows = bank.taken(pa.array([0]).to_numpy())
    made = next(row for row in pq.read_table(inputs["parts"][0]).to_pylist() if row["text"])
    example = next(row for row in EXAMPLES.to_pylist() if row["example_id"] == made["item_id"].split("#")[0])
    start, end = map(int, made["item_id"].split("#")[1].split("-"))
    text = example["text"][:start] + made["text"] + example["text"][end:]
    encoded = PreparedTokenizer(inputs["backbone"]).encode([text])
    place = rows.column("text_row").to_pylist()[0]
    assert texts.column("input_ids").to_pylist()[place] == encoded.input_ids.tolist()
