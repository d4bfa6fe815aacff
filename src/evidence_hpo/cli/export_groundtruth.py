"""The command `export-groundtruth`: the evidence as it was aligned with its posts, as a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import typer

from evidence_hpo import paths
from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_path

__all__ = ["export_groundtruth", "matched_evidence"]

Study = Annotated[Path, typer.Option(help="Folder of the study.")]
Output = Annotated[
    Path, typer.Option(help="CSV file to write. It holds the text of the posts: keep it where they are.")
]


def export_groundtruth(study_dir: Study = Path(), output: Output = Path("matched_evidence.csv")) -> None:
    """Write the aligned evidence as CSV: post_text, sentence_text, start_char, end_char.

    One row for each evidence sentence that was found in its post; what could not be aligned is listed by id in
    results/corpus/report.json. Offsets are characters of post_text, end_char excluded.

    Example: evidence-hpo export-groundtruth --output matched_evidence.csv
    """
    table = matched_evidence(study_dir / paths.CORPUS_POSTS, study_dir / paths.CORPUS_ANNOTATIONS)
    with atomic_path(output) as temporary:
        pyarrow.csv.write_csv(table, temporary)
    typer.echo(f"{output}: {table.num_rows} rows", err=True)


def matched_evidence(posts: Path, annotations: Path) -> pa.Table:
    """Return the aligned evidence, in the order of the annotations.

    Raises:
        DataError: The corpus is not prepared.
    """
    for path in (posts, annotations):
        if not path.is_file():
            raise DataError(f"{path}: no such file; `make groundtruth` makes it")
    rows = pq.read_table(annotations)
    found = rows.filter(pc.and_(pc.equal(rows["status"], 1), pc.is_valid(rows["start"])))
    texts = dict(zip(*(pq.read_table(posts)[name].to_pylist() for name in ("post_id", "text")), strict=True))
    return pa.table(
        {
            "post_text": pa.array([texts[post] for post in found["post_id"].to_pylist()], pa.string()),
            "sentence_text": found["sentence_text"],
            "start_char": found["start"],
            "end_char": found["end"],
        }
    )
