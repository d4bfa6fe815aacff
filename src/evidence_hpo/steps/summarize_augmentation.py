"""Count the variants that all banks of the study hold, and those that were rejected."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.augmentation.summary import summarize_records
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step


def summarize_augmentation(*, records: list[Path], output: Path) -> None:
    """Write the summary of the records of all parts of all banks.

    Args:
        records: JSON records that lie beside the banks.
        output: Output; counts and rates by task, source, method, level and reason.

    Raises:
        DataError: A record is missing or invalid.
    """
    summary = summarize_records([read_artefact(record, "augmentation_record") for record in records])
    write_artefact(output, "augmentation_summary", summary)
    total = summary["total"]
    log_event(
        "augmentation",
        f"{len(summary['banks'])} banks, {total['made']} of {total['rows']} variants made",
        banks=len(summary["banks"]),
        rows=total["rows"],
        made=total["made"],
        rejected=total["rejected"],
    )


if __name__ == "__main__":
    run_step(summarize_augmentation)
