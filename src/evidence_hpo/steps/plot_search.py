"""Step `plot_search`: figures of the search of one architecture."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.evaluation.search_plots import (
    StageTrials,
    curves_figure,
    history_figure,
    importance_figure,
    slices_figure,
)
from evidence_hpo.schemas import read_artefact, read_artefact_lines
from evidence_hpo.step import run_step


def plot_search(
    *, trials: list[Path], spaces: list[Path], history: Path, importance: Path, curves: Path, slices: Path
) -> None:
    """Draw the search.

    Args:
        trials: ``trials.jsonl`` of the stages of one architecture, in order.
        spaces: Their ``space.json``, in the same order.
        history: SVG to write: the objective of all trials.
        importance: SVG to write: the importance of each parameter.
        curves: SVG to write: the objective over the epochs of each trial.
        slices: SVG to write: the objective over the values of the most important parameters.
    """
    if len(trials) != len(spaces):
        raise DataError(f"{len(trials)} trial files but {len(spaces)} spaces: each stage needs both")
    stages = []
    for rows, space in zip(trials, spaces, strict=True):
        content = read_artefact(space, "space")
        records = sorted(read_artefact_lines(rows, "trial"), key=lambda trial: trial["number"])
        stages.append(StageTrials(content["stage"], records, content))
    write_svg(history_figure(stages), history)
    write_svg(importance_figure(stages), importance)
    write_svg(curves_figure(stages), curves)
    write_svg(slices_figure(stages), slices)


if __name__ == "__main__":
    run_step(plot_search)
