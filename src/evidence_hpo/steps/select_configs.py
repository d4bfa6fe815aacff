"""Step `select_configs`: the best distinct configurations of the last stage."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact
from evidence_hpo.search.records import read_trials
from evidence_hpo.search.selection import select
from evidence_hpo.step import run_step


def select_configs(trials: Path, top_k: int, output: Path) -> None:
    """Write the configurations that are retrained.

    Args:
        trials: ``trials.jsonl`` of the last stage.
        top_k: How many; fewer are written if the stage has no more.
        output: ``selected.json``.
    """
    selected = select(read_trials([trials]), top_k)
    write_artefact(output, "selected", selected.model_dump(mode="json"))
    for note in selected.notes:
        log_event("selection_note", note, level="warning")
    numbers = [one.origin.number for one in selected.configurations]
    log_event("selected", f"{selected.architecture}: trials {', '.join(map(str, numbers))}", numbers=numbers)


if __name__ == "__main__":
    run_step(select_configs)
