"""Tokenise the examples of one task and split once, for one backbone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evidence_hpo.config.base import suggestion
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import digest_directory
from evidence_hpo.logs import log_event
from evidence_hpo.paths import TASKS
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer


def tokenize_examples(
    *, task: str, examples: Path, criteria: Path, backbone: Path, manifest: Path, texts: Path, rows: Path
) -> None:
    """Write the token cache of one task, split and backbone.

    Args:
        task: ``criteria`` or ``evidence``.
        examples: Parquet file of examples.
        criteria: JSON list of criteria.
        backbone: Directory of the prepared backbone.
        manifest: Manifest of the prepared backbone.
        texts: Output; Arrow file of tokenised texts and criteria.
        rows: Output; Arrow file of examples.

    Raises:
        ConfigurationError: The task is unknown.
        DataError: An input is missing or invalid, or the backbone is not the one of the manifest.
    """
    if task not in TASKS:
        raise ConfigurationError(f"--task: unknown task '{task}'{suggestion(task, TASKS)}")
    expected = read_artefact(manifest, "backbone")["digest"]
    tokenizer = PreparedTokenizer(backbone)
    if digest_directory(backbone) != expected:
        raise DataError(f"{backbone}: differs from its manifest {manifest}; run prepare_backbone again")
    text_batch, row_batch, metadata = tokenize_table(
        _read_examples(examples),
        read_artefact(criteria, "criteria"),
        tokenizer,
        task=task,
        backbone_digest=expected,
        where=str(examples),
    )
    write_table(texts, text_batch, metadata)
    write_table(rows, row_batch, metadata)
    tokens = len(text_batch.column("input_ids").values)
    unique = text_batch.num_rows
    log_event(
        "tokenized",
        f"{row_batch.num_rows} examples, {unique} unique texts and criteria, {tokens} tokens",
        examples=row_batch.num_rows,
        texts=unique,
        tokens=tokens,
        digest=metadata.digest,
    )


def _read_examples(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file") from error


if __name__ == "__main__":
    run_step(tokenize_examples)
