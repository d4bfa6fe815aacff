"""`export-groundtruth`: the aligned evidence as the guide's table, offsets and all."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finished_study import command

from evidence_hpo.data.tables import ANNOTATIONS, POSTS

TEXT = 'Some, "quoted" days.\nI cannot sleep — at all.'
FOUND = "I cannot sleep"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "results/corpus"
    folder.mkdir(parents=True)
    start = TEXT.index(FOUND)
    rows = [
        {"sentence_id": "s1", "status": 1, "start": start, "end": start + len(FOUND)},
        {"sentence_id": "s2", "status": 0, "start": start, "end": start + len(FOUND)},
        {"sentence_id": "s3", "status": 1, "start": None, "end": None},
    ]
    common = {
        "post_id": "p1",
        "sentence_text": FOUND,
        "criterion": "SLEEP_ISSUES",
        "alignment": "exact",
        "score": 100.0,
    }
    pq.write_table(
        pa.Table.from_pylist([{**common, **row} for row in rows], ANNOTATIONS), folder / "annotations.parquet"
    )
    pq.write_table(pa.Table.from_pylist([{"post_id": "p1", "text": TEXT}], POSTS), folder / "posts.parquet")
    return tmp_path


def test_each_aligned_evidence_sentence_is_a_row_with_its_offsets(corpus: Path) -> None:
    done = command("export-groundtruth", "--output", "matched.csv", folder=corpus)
    assert (done.returncode, done.stderr) == (0, "matched.csv: 1 rows\n")
    with (corpus / "matched.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["post_text", "sentence_text", "start_char", "end_char"]
    assert row["post_text"] == TEXT
    assert row["post_text"][int(row["start_char"]) : int(row["end_char"])] == row["sentence_text"] == FOUND


def test_without_a_corpus_the_line_says_how_to_make_it(tmp_path: Path) -> None:
    refused = command("export-groundtruth", folder=tmp_path)
    assert refused.returncode == 3
    assert "make groundtruth" in refused.stderr
    assert refused.stderr.count("\n") == 1
