"""Banks: the same whatever the order, the parts and the process; everything counted; no sentence is fatal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.augmentation.odd_sentences import ODD

from evidence_hpo.augmentation import making
from evidence_hpo.augmentation.banks import BANK, BankName, Request, read_bank, requests_of, write_bank
from evidence_hpo.augmentation.items import items_of
from evidence_hpo.augmentation.making import vary_all
from evidence_hpo.augmentation.rejection import REASONS
from evidence_hpo.augmentation.simple import simple_method
from evidence_hpo.config.augmentation import AugmentationSettings, BankSettings
from evidence_hpo.data.tables import EXAMPLES
from evidence_hpo.errors import DataError
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step
from evidence_hpo.steps.augment_examples import augment_examples
from evidence_hpo.steps.summarize_augmentation import summarize_augmentation

SENTENCES = [*ODD, "I am so tired of it all.", "I do not sleep and I do not eat.", "I am so tired of it all."]


def write_examples(path: Path, *, backwards: bool = False) -> Path:
    rows = []
    for number, sentence in enumerate(SENTENCES):
        text = f"Before, {number}. {sentence} After."
        start = len(f"Before, {number}. ")
        spans = [{"start": start, "end": start + len(sentence)}]
        rows.append((f"p{number:02d}|MOOD", f"p{number:02d}", "MOOD", text, 1, spans))
        rows.append((f"p{number:02d}|SLEEP", f"p{number:02d}", "SLEEP", text, 0, []))
    rows = rows[::-1] if backwards else rows
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=EXAMPLES)
    pq.write_table(table, path)
    return path


def settings(**changes: Any) -> BankSettings:
    return BankSettings(**{"strength": 0.2, "variants": 3, "parts": 1, "max_words": 60, "whole_text": False, **changes})


def command(folder: Path, examples: Path, own: BankSettings, **changes: str) -> list[str]:
    values = {"task": "evidence", "source": "original", "method": "aeda", "level": "1", "part": "0", **changes}
    sources = values.pop("sources", "").split()
    options = [word for name, value in values.items() for word in (f"--{name}", value)]
    files = ["--examples", examples, "--sources", *sources]
    outputs = ["--output", folder / "bank.parquet", "--record", folder / "bank.json", "--log", folder / "bank.log"]
    return ["--settings", own.model_dump_json(), *options, *map(str, files), *map(str, outputs)]


def make(folder: Path, examples: Path, own: BankSettings, **changes: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    run_step(augment_examples, command(folder, examples, own, **changes))
    return folder / "bank.parquet"


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_bank(path)[0].to_pylist()
    return found


def test_a_bank_holds_every_variant_of_every_item_or_the_reason(tmp_path: Path) -> None:
    bank = make(tmp_path, write_examples(tmp_path / "examples.parquet"), settings())
    table, name = read_bank(bank)
    assert name == BankName("evidence", "original", "aeda", 1, 0.2)
    items = items_of(pq.read_table(tmp_path / "examples.parquet"), whole_text=False)
    keys = ("item_id", "source_method", "source_level", "variant")
    assert [tuple(row[key] for key in keys) for row in table.to_pylist()] == [
        (item.item_id, "", -1, variant) for item in items for variant in range(3)
    ]
    for row in table.to_pylist():
        assert (row["text"] is None) == (row["reason"] in REASONS)
    record = read_artefact(tmp_path / "bank.json", "augmentation_record")
    assert (record["items"], record["rows"]) == (len(SENTENCES), 3 * len(SENTENCES))
    assert record["made"] + sum(record["rejected"].values()) == record["rows"]
    assert record["made"] == sum(row["text"] is not None for row in table.to_pylist())
    assert record["rejected"]["empty"] == 9
    # The sentence that occurs twice is varied once, and its two items have the same variants.
    assert record["varied"] == 3 * (len(set(SENTENCES)) - 3)


def test_order_and_process_and_hash_seed_change_no_byte(tmp_path: Path) -> None:
    own = settings()
    bank = make(tmp_path / "a", write_examples(tmp_path / "examples.parquet"), own, method="character_noise")
    turned = write_examples(tmp_path / "turned.parquet", backwards=True)
    assert make(tmp_path / "b", turned, own, method="character_noise").read_bytes() == bank.read_bytes()
    (tmp_path / "c").mkdir()
    step = [sys.executable, "-m", "evidence_hpo.steps.augment_examples"]
    arguments = command(tmp_path / "c", turned, own, method="character_noise")
    subprocess.run([*step, *arguments], check=True, env={**os.environ, "PYTHONHASHSEED": "4711"}, capture_output=True)
    assert (tmp_path / "c" / "bank.parquet").read_bytes() == bank.read_bytes()


@pytest.mark.parametrize("parts", [2, 5, 64])
def test_parts_hold_the_same_rows(tmp_path: Path, parts: int) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    whole = rows(make(tmp_path / "whole", examples, settings()))
    divided = [
        row
        for part in range(parts)
        for row in rows(make(tmp_path / str(part), examples, settings(parts=parts), part=str(part)))
    ]
    assert sorted(divided, key=lambda row: (row["item_id"], row["variant"])) == whole


def test_a_chained_bank_varies_every_variant_of_its_sources_once_more(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    sources = [
        make(tmp_path / method, examples, settings(strength=0.3), method=method, level="2")
        for method in ("casing", "random_deletion")
    ]
    names = " ".join(map(str, sources))
    bank = make(tmp_path / "chain", examples, settings(), source="textattack", sources=names)
    chained = rows(bank)
    assert read_bank(bank)[1].source == "textattack"
    before = {
        (row["item_id"], method, 2, row["variant"]): row["text"]
        for source, method in zip(sources, ("casing", "random_deletion"), strict=True)
        for row in rows(source)
    }
    keys = ("item_id", "source_method", "source_level", "variant")
    assert [tuple(row[key] for key in keys) for row in chained] == sorted(before)
    for row in chained:
        source = before[tuple(row[key] for key in keys)]
        assert (row["reason"] == "no_source") == (source is None)
        if row["text"] is not None:
            # AEDA inserts marks alone: without them it is the variant that was varied once more.
            assert [word for word in row["text"].split() if word not in ".;?:!,"] == [
                word for word in source.split() if word not in ".;?:!,"
            ]
    assert (
        bank.read_bytes()
        == make(
            tmp_path / "turned", examples, settings(), source="textattack", sources=" ".join(names.split()[::-1])
        ).read_bytes()
    )


def test_the_part_of_a_chained_bank_needs_the_same_part_of_its_sources(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    own = settings(parts=3)
    source = make(tmp_path / "source", examples, own, method="casing", part="1")
    items = {row["item_id"] for row in rows(source)}
    chained = rows(make(tmp_path / "chain", examples, own, source="textattack", sources=str(source), part="1"))
    assert {row["item_id"] for row in chained} == items
    assert rows(make(tmp_path / "other", examples, own, source="textattack", sources=str(source), part="2")) == []


class Moody:
    """Raises, or gives no text, for some sentences."""

    name = "moody"

    def vary(self, sentence: str, strength: float, seed: int) -> str:
        if sentence == "raises":
            raise RecursionError(sentence)
        return {"halves": "\ud800", "blank": "  "}.get(sentence, sentence + "!")


def test_an_item_that_raises_is_recorded_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["raises", "halves", "blank", "good", "three words here"]
    asked = [Request(str(number), "", -1, 0, text, text) for number, text in enumerate(texts)]
    outcome = vary_all(asked, Moody(), 0.2, max_words=2)
    assert outcome.rows.column("reason").to_pylist() == ["error", "error", "empty", None, "too_long"]
    assert outcome.rows.column("text").to_pylist() == [None, None, None, "good!", None]
    assert outcome.errors == {"RecursionError": 1, "UnicodeEncodeError": 1}
    assert (outcome.made, outcome.varied) == (1, 4)
    assert "raises" not in capsys.readouterr().err


def test_progress_is_told_with_its_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(making, "_SECONDS_BETWEEN_REPORTS", 0.0)
    asked = [Request(str(number), "", -1, 0, "good", "good") for number in range(2)]
    vary_all(asked, Moody(), 0.2, max_words=2)
    assert "1 of 2 variants, " in capsys.readouterr().err


def test_the_log_holds_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, write_examples(tmp_path / "examples.parquet"), settings())
    written = (tmp_path / "bank.log").read_text(encoding="utf-8") + (tmp_path / "bank.json").read_text(encoding="utf-8")
    for sentence in filter(str.strip, SENTENCES):
        assert sentence not in written + capsys.readouterr().err or len(sentence) < 8


@pytest.mark.parametrize("damage", ["text", "other", "missing"])
def test_a_damaged_bank_is_noticed(tmp_path: Path, damage: str) -> None:
    table = pa.table([["a"], [""], [-1], [0], ["a text"], [None]], schema=BANK)
    path = tmp_path / "bank.parquet"
    write_bank(path, table, BankName("evidence", "original", "aeda", 1, 0.2), {})
    assert read_bank(path)[0].equals(table)
    if damage == "text":
        other = table.set_column(4, BANK.field("text"), pa.array(["another"]))
        pq.write_table(other.replace_schema_metadata(pq.read_table(path).schema.metadata), path)
    elif damage == "other":
        pq.write_table(table.select(["item_id"]), path)
    else:
        path.unlink()
    with pytest.raises(DataError, match=r"bank\.parquet: (damaged bank|not a bank of this version|no such file)"):
        read_bank(path)


def test_requests_skip_rows_of_items_that_are_no_more() -> None:
    columns = {"item_id": ["gone#0-1"], "method": ["aeda"], "level": [1], "variant": [0], "text": ["x"]}
    assert requests_of([], 3, pa.table(columns)) == []


def test_the_summary_adds_up_the_parts(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    records = []
    for method in ("aeda", "random_deletion"):
        for part in range(2):
            folder = tmp_path / method / str(part)
            make(folder, examples, settings(parts=2), method=method, part=str(part))
            records.append(str(folder / "bank.json"))
    output = tmp_path / "summary.json"
    run_step(
        summarize_augmentation,
        ["--records", *records, "--output", str(output), "--log", str(tmp_path / "summary.log")],
    )
    summary = read_artefact(output, "augmentation_summary")
    assert [(bank["method"], bank["items"], bank["rows"]) for bank in summary["banks"]] == [
        ("aeda", len(SENTENCES), 3 * len(SENTENCES)),
        ("random_deletion", len(SENTENCES), 3 * len(SENTENCES)),
    ]
    parts = [json.loads(Path(record).read_text(encoding="utf-8")) for record in records]
    for count in ("rows", "made", "varied"):
        total = sum(part[count] for part in parts)
        assert summary["total"][count] == summary["tasks"]["evidence"][count] == total
        assert summary["families"]["simple"][count] == total
    assert summary["total"]["rejected"]["empty"] == 18
    assert summary["total"]["sentences_per_second"] > 0


def test_no_banks_give_an_empty_summary(tmp_path: Path) -> None:
    output = tmp_path / "summary.json"
    run_step(summarize_augmentation, ["--records", "--output", str(output), "--log", str(tmp_path / "summary.log")])
    assert read_artefact(output, "augmentation_summary")["banks"] == []


def test_levels_run_from_the_low_to_the_high_end_of_the_range() -> None:
    own = AugmentationSettings(strengths={"aeda": (0.1, 0.4)})
    assert [own.bank("aeda", level, whole_text=True).strength for level in range(4)] == [0.1, 0.2, 0.3, 0.4]
    assert simple_method("aeda").name == "aeda"
