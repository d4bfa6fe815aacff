"""Step `plot_search`: figures of the search of one architecture."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.evaluation.parallel_coordinates import parallel_figure
from evidence_hpo.evaluation.search_analysis import read_stages
from evidence_hpo.evaluation.search_plots import (
    StageTrials,
    correlation_figure,
    curves_figure,
    history_figure,
    importance_figure,
    rounds_figure,
    slices_figure,
)
from evidence_hpo.step import run_step


def plot_search(
    *,
    trials: list[Path],
    spaces: list[Path],
    summaries: list[Path],
    lags: list[int],
    trials_per_gpu: int,
    history: Path,
    importance: Path,
    curves: Path,
    slices: Path,
    parallel: Path,
    correlation: Path,
    rounds: Path,
) -> None:
    """Draw the search.

    Args:
        trials: ``trials.jsonl`` of the stages of one architecture, in order.
        spaces: Their ``space.json``, in the same order.
        summaries: Their ``summary.json``, in the same order.
        lags: Rounds that a proposal of each stage does not wait for.
        trials_per_gpu: Trials that a job runs at once on a GPU.
        history: SVG to write: the objective of all trials.
        importance: SVG to write: the importance of each parameter.
        curves: SVG to write: the objective over the epochs of each trial.
        slices: SVG to write: the objective over the values of the most important parameters.
        parallel: SVG to write: all complete trials over all parameters.
        correlation: SVG to write: re-run trials against their values in the stage before.
        rounds: SVG to write: work and waiting of each round.
    """
    stages = [
        StageTrials(stage.name, stage.trials, stage.space, stage.summary["reruns"], stage.times(trials_per_gpu))
        for stage in read_stages(trials, summaries, spaces, lags)
    ]
    write_svg(history_figure(stages), history)
    write_svg(importance_figure(stages), importance)
    write_svg(curves_figure(stages), curves)
    write_svg(slices_figure(stages), slices)
    write_svg(parallel_figure(stages), parallel, dark=False)
    write_svg(correlation_figure(stages), correlation)
    write_svg(rounds_figure(stages), rounds)


if __name__ == "__main__":
    run_step(plot_search)
