"""Step tokenize_augmented: the varied training examples of one bank, tokenised once for one backbone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from evidence_hpo.augmentation.banks import read_bank
from evidence_hpo.augmentation.examples import varied_examples
from evidence_hpo.config.banks import Bank
from evidence_hpo.data import tables
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_directory
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_bank
from evidence_hpo.tokens.tokenizer import PreparedTokenizer


def tokenize_augmented(
    *,
    task: str,
    whole_text: bool,
    examples: Path,
    evidence: Path,
    parts: list[Path],
    criteria: Path,
    backbone: Path,
    manifest: Path,
    texts: Path,
    rows: Path,
) -> None:
    """Write the tokenised examples of one bank.

    Args:
        task: ``criteria`` or ``evidence``.
        whole_text: Whether the text of an example is what is varied, not the evidence within it.
        examples: Parquet file of the training examples.
        evidence: Parquet file of the training examples whose sentences the bank varies.
        parts: All parts of the bank.
        criteria: JSON list of criteria.
        backbone: Directory of the prepared backbone.
        manifest: Manifest of the prepared backbone.
        texts: Output; Arrow file of tokenised texts and criteria.
        rows: Output; Arrow file of varied examples.

    Raises:
        DataError: An input is missing or invalid, or the backbone is not the one of the manifest.
    """
    expected = read_artefact(manifest, "backbone")["digest"]
    tokenizer = PreparedTokenizer(backbone)
    if digest_directory(backbone) != expected:
        raise DataError(f"{backbone}: differs from its manifest {manifest}; run prepare_backbone again")
    bank, made = _read_bank(parts, task)
    given, varied_from = (
        pa.Table.from_pandas(tables.read_table(path, tables.EXAMPLES), schema=tables.EXAMPLES)
        for path in (examples, evidence)
    )
    varied = varied_examples(given, varied_from, made, whole_text=whole_text, where=str(parts[0].parent))
    text_batch, row_batch, metadata = tokenize_bank(
        varied,
        read_artefact(criteria, "criteria"),
        tokenizer,
        bank=bank,
        task=task,
        backbone_digest=expected,
        where=str(parts[0].parent),
    )
    write_table(texts, text_batch, metadata)
    write_table(rows, row_batch, metadata)
    tokens = len(text_batch.column("input_ids").values)
    log_event(
        "tokenized",
        f"{row_batch.num_rows} varied examples, {text_batch.num_rows} unique texts and criteria, {tokens} tokens",
        examples=row_batch.num_rows,
        texts=text_batch.num_rows,
        tokens=tokens,
        digest=metadata.digest,
    )


def _read_bank(parts: list[Path], task: str) -> tuple[Bank, pa.Table]:
    """Return which bank the parts are of, and the rows of all of them in the bank's own order."""
    tables_of_parts, banks = [], set()
    for path in parts:
        table, name = read_bank(path)
        tables_of_parts.append(table)
        banks.add((name.task, Bank(name.source, name.method, name.level)))
    if len(banks) != 1 or {of_task for of_task, _ in banks} != {task}:
        raise DataError(f"--parts: {', '.join(map(str, parts))} are not the parts of one bank of {task}")
    rows = pa.concat_tables(tables_of_parts)
    order = [(name, "ascending") for name in ("item_id", "source_method", "source_level", "variant")]
    return banks.pop()[1], rows.sort_by(order)


if __name__ == "__main__":
    run_step(tokenize_augmented)
