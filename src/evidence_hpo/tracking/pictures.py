"""The pictures of a stage that people look for in its run; the study's own figures are richer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_history", "draw_importances"]

_COLOURS = {"complete": "#0072B2", "pruned": "#E69F00", "failed": "#D55E00"}


def draw_history(path: Path, trials: Sequence[Sequence[Any]]) -> None:
    """Draw the value of each trial and the best so far as PNG.

    Args:
        path: File to write.
        trials: Number, state and value of each, in order; a value may be None.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="trial", ylabel="objective", title="Optimisation history")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for state, colour in _COLOURS.items():
        shown = [(number, value) for number, its, value in trials if its == state and value is not None]
        if shown:
            numbers, values = zip(*shown, strict=True)
            axes.scatter(numbers, values, s=18, color=colour, label=state)
    best: list[tuple[int, float]] = []
    for number, state, value in trials:
        if state == "complete":
            best.append((number, max(value, best[-1][1] if best else value)))
    if best:
        numbers, values = zip(*best, strict=True)
        axes.step(numbers, values, where="post", color="black", linewidth=1, label="best so far")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    figure.savefig(path, format="png", dpi=110)


def draw_importances(path: Path, importances: Mapping[str, float]) -> None:
    """Draw the share of the variance that each parameter explains as PNG.

    Args:
        path: File to write.
        importances: Parameter -> share, from fANOVA.
    """
    from matplotlib.figure import Figure

    ordered = sorted(importances.items(), key=lambda item: item[1])
    figure = Figure(figsize=(7, 1 + 0.3 * len(ordered)), layout="constrained")
    axes = figure.add_subplot(xlabel="share of the variance (fANOVA)", title="Parameter importances")
    axes.barh([name for name, _ in ordered], [value for _, value in ordered], color=_COLOURS["complete"])
    figure.savefig(path, format="png", dpi=110)
