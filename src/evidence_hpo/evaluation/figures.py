"""What all figures share: size, colours, and SVG files that are equal byte for byte when their data are."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from evidence_hpo.files import atomic_path, write_text
from evidence_hpo.svg_theme import themed

__all__ = [
    "BLACK",
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "YELLOW",
    "log_scale",
    "new_figure",
    "say",
    "style",
    "whole_numbers",
    "write_png",
    "write_svg",
]

# Okabe and Ito's palette, which people with any colour vision can tell apart.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#E69F00", "#009E73"
SKY, VERMILLION, PURPLE, GREY = "#56B4E9", "#D55E00", "#CC79A7", "#999999"
YELLOW = "#F0E442"
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)

_STYLE: Any = {
    "svg.hashsalt": "evidence-hpo",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the reports, over matplotlib's own defaults: the user's matplotlibrc changes nothing.

    Also a decorator, for functions that draw.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(rows: int, columns: int, *, width: float = 4.2, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels of the given size in inches, and the panels in reading order."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def say(axes: Axes, text: str) -> None:
    """Write ``text`` into a panel that has nothing to show."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True, color="#555555")


def log_scale(axes: Axes) -> None:
    """Make the x axis logarithmic, with ticks at 1, 2 and 5 that do not run into each other."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high / low > 50
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def whole_numbers(axes: Axes) -> None:
    """Put the ticks of the x axis at whole numbers only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def write_svg(figure: Figure, path: Path, *, dark: bool = True) -> None:
    """Write the figure as SVG without date or version, atomically.

    Args:
        figure: What to write.
        path: Where.
        dark: Whether it turns dark with the reader's page; not where dark lines mean something.
    """
    drawn = io.StringIO()
    with style():
        figure.savefig(drawn, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    write_text(path, themed(drawn.getvalue()) if dark else drawn.getvalue())


def write_png(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, atomically."""
    with style(), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
