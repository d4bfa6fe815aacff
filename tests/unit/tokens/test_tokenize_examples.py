from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import digest_directory, write_json
from evidence_hpo.steps.tokenize_examples import tokenize_examples
from evidence_hpo.tokens.cache import TokenCache


@pytest.fixture
def inputs(tmp_path: Path, examples: pa.Table, criteria: Any, tokenizer_directory: Path) -> dict[str, Any]:
    pq.write_table(examples, tmp_path / "examples.parquet")
    write_json(tmp_path / "criteria.json", criteria)
    shutil.copytree(tokenizer_directory, tmp_path / "backbone")
    facts = {
        "model_type": "deberta-v2",
        "layers": 1,
        "hidden": 8,
        "max_positions": 64,
        "vocabulary": 9,
        "parameters": 9,
    }
    digest = digest_directory(tmp_path / "backbone")
    write_json(tmp_path / "backbone.json", {"name": "b", "source": "scratch", "digest": digest, **facts})
    return {
        "task": "evidence",
        "examples": tmp_path / "examples.parquet",
        "criteria": tmp_path / "criteria.json",
        "backbone": tmp_path / "backbone",
        "manifest": tmp_path / "backbone.json",
        "texts": tmp_path / "texts.arrow",
        "rows": tmp_path / "rows.arrow",
    }


def test_the_step_writes_a_cache_that_names_its_backbone(inputs: dict[str, Any], examples: pa.Table) -> None:
    tokenize_examples(**inputs)
    cache = TokenCache.open(inputs["texts"], inputs["rows"])
    assert (cache.task, len(cache)) == ("evidence", examples.num_rows)
    assert cache.backbone_digest == digest_directory(inputs["backbone"])


def test_a_backbone_that_is_not_the_one_of_its_manifest_is_an_error(inputs: dict[str, Any]) -> None:
    (inputs["backbone"] / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(DataError, match="differs from its manifest"):
        tokenize_examples(**inputs)
    assert not inputs["texts"].exists()


def test_wrong_inputs_are_named(inputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown task 'evidense'; did you mean 'evidence'"):
        tokenize_examples(**{**inputs, "task": "evidense"})
    with pytest.raises(DataError, match=r"none.parquet: no such file"):
        tokenize_examples(**{**inputs, "examples": tmp_path / "none.parquet"})
    with pytest.raises(DataError, match=r"criteria.json: not a readable Parquet file"):
        tokenize_examples(**{**inputs, "examples": inputs["criteria"]})


def test_the_command_runs_without_torch_and_shows_no_text(inputs: dict[str, Any], examples: pa.Table) -> None:
    options = [part for name, value in inputs.items() for part in (f"--{name}", str(value))]
    log = inputs["texts"].with_name("step.log")
    program = (
        "import sys; from evidence_hpo.step import run_step\n"
        "from evidence_hpo.steps.tokenize_examples import tokenize_examples\n"
        "run_step(tokenize_examples, sys.argv[1:])\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *options, "--log", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["tokenized", "finished"]
    assert not [text for text in examples["text"].to_pylist() if text[:12] in done.stderr + log.read_text()]
