"""Trial files: what is read, and what is turned away in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_narrowing import record

from evidence_hpo.errors import DataError
from evidence_hpo.schemas import write_artefact_lines
from evidence_hpo.search.records import read_trials


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [record(number, 0.5, {"dropout": 0.1}).model_dump(mode="json") for number in numbers]


def test_trials_are_read_as_written_and_sorted(tmp_path: Path) -> None:
    first, second, empty = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "empty.jsonl"))
    write_artefact_lines(first, "trial", rows(3, 0))
    write_artefact_lines(second, "trial", rows(2, 1))
    empty.touch()
    trials = read_trials([first, second, empty])
    assert trials == read_trials([empty, second, first])
    assert [trial.model_dump(mode="json") for trial in trials] == rows(0, 1, 2, 3)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda row: {**row, "seed": "7"}, r"line 2: seed: Input should be a valid integer"),
        (lambda row: {**row, "extra": 1}, r"line 2: extra: Extra inputs"),
        (lambda row: {key: row[key] for key in row if key != "state"}, r"line 2: state: Field required"),
        (lambda row: {**row, "state": "done"}, r"line 2: state: Input should be 'complete', 'pruned' or 'failed'"),
        (lambda row: {**row, "value": None}, r"line 2: \(top level\): .*a complete trial has a value"),
    ],
)
def test_a_damaged_line_is_named(
    damage: Callable[[dict[str, Any]], dict[str, Any]], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "shard.jsonl"
    first, second = rows(0, 1)
    path.write_text(json.dumps(first) + "\n" + json.dumps(damage(second)) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_trials([path])


@pytest.mark.parametrize(("content", "words"), [(b'{"study": ', "Invalid JSON"), (b"\xff\xfe", "not UTF-8 text")])
def test_what_is_no_json_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "shard.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_trials([path])
    with pytest.raises(DataError, match="no such file"):
        read_trials([tmp_path / "missing.jsonl"])
