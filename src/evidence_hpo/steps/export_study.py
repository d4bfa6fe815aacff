"""Step `export_study`: the search as an Optuna storage."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.optuna_export import write_storage
from evidence_hpo.files import atomic_path
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, read_artefact_lines
from evidence_hpo.step import run_step


def export_study(*, trials: list[Path], spaces: list[Path], output: Path) -> None:
    """Write one Optuna study for each stage of each architecture.

    Args:
        trials: ``trials.jsonl`` of all stages of all architectures.
        spaces: Their ``space.json``, in the same order.
        output: SQLite file to write.
    """
    if len(trials) != len(spaces):
        raise DataError(f"{len(trials)} trial files but {len(spaces)} spaces: each stage needs both")
    stages = [
        (read_artefact_lines(rows, "trial"), read_artefact(space, "space"))
        for rows, space in zip(trials, spaces, strict=True)
    ]
    with atomic_path(output) as temporary:
        written = write_storage(temporary, stages)
    log_event("exported", f"{written} trials in {len(stages)} Optuna studies", trials=written)


if __name__ == "__main__":
    run_step(export_study)
