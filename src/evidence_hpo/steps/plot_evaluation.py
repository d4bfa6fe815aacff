"""Step `plot_evaluation`: figures of the evaluation of one architecture."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.evaluation.evaluation_plots import (
    confusion_figure,
    criteria_figure,
    reliability_figure,
    scores_figure,
)
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step


def plot_evaluation(*, evaluation: Path, scores: Path, by_criterion: Path, confusion: Path, reliability: Path) -> None:
    """Draw the evaluation.

    Args:
        evaluation: ``evaluation.json``.
        scores: SVG to write: model and floors with intervals.
        by_criterion: SVG to write: the score of each criterion.
        confusion: SVG to write: confusion matrices.
        reliability: SVG to write: reliability diagram.
    """
    content = read_artefact(evaluation, "evaluation")
    write_svg(scores_figure(content), scores)
    write_svg(criteria_figure(content), by_criterion)
    write_svg(confusion_figure(content), confusion)
    write_svg(reliability_figure(content), reliability)


if __name__ == "__main__":
    run_step(plot_evaluation)
