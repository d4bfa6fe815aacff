"""Step `define_space`: the concrete space of one architecture from a configured space."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.spaces import Space
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact
from evidence_hpo.search.spaces import concrete_space
from evidence_hpo.step import run_step


def define_space(settings: Space, parameters: TrialParameters, architecture: str, stage: str, output: Path) -> None:
    """Write the dimensions of a configured space that act on one architecture.

    Args:
        settings: The configured space.
        parameters: Values of the parameters that it does not search.
        architecture: Name of the architecture.
        stage: Name of the stage.
        output: ``space.json``.
    """
    space = concrete_space(settings, parameters, architecture, stage)
    write_artefact(output, "space", space.to_json())
    for note in space.notes:
        log_event("space_note", f"{architecture} {stage}: {note}")
    log_event("space", f"{architecture} {stage}: {len(space.dimensions)} dimensions", dimensions=len(space.dimensions))


if __name__ == "__main__":
    run_step(define_space)
