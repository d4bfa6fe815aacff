"""Step `narrow_space`: the space of a stage from the best trials of the stage before."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.search import NarrowingSettings
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.narrowing import narrow
from evidence_hpo.search.records import read_trials
from evidence_hpo.search.spaces import SearchSpace
from evidence_hpo.step import run_step


def narrow_space(settings: NarrowingSettings, space: Path, trials: Path, stage: str, output: Path) -> None:
    """Write the space that the best trials of the stage before span, with a margin.

    Args:
        settings: How to narrow.
        space: ``space.json`` of the stage before.
        trials: ``trials.jsonl`` of the stage before.
        stage: Name of the narrowed stage.
        output: Its ``space.json``.
    """
    before = SearchSpace.from_json(read_artefact(space, "space"))
    narrowed = narrow(before, read_trials([trials]), settings, stage)
    write_artefact(output, "space", narrowed.to_json())
    for note in narrowed.notes:
        log_event("space_note", f"{narrowed.architecture} {stage}: {note}")
    for dimension in narrowed.dimensions:
        log_event("dimension", f"{narrowed.architecture} {stage}: {dimension.name}: {dimension.note}")


if __name__ == "__main__":
    run_step(narrow_space)
