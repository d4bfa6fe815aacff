"""Step `plot_augmentation`: which variants were made, and why no others."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.evaluation.augmentation_plot import augmentation_figure
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step


def plot_augmentation(*, summary: Path, figure: Path) -> None:
    """Draw the banks of the study.

    Args:
        summary: ``summary.json`` of the banks.
        figure: SVG to write.
    """
    write_svg(augmentation_figure(read_artefact(summary, "augmentation_summary")), figure)


if __name__ == "__main__":
    run_step(plot_augmentation)
