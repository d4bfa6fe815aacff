"""Which variants the methods of augmentation made, and why they made no others: shares, never a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evidence_hpo.evaluation.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    new_figure,
    style,
)

__all__ = ["augmentation_figure"]

_MADE = "made"
_COLOURS = {
    _MADE: BLUE,
    "unchanged": SKY,
    "duplicate": GREEN,
    "negation": VERMILLION,
    "too_long": GREY,
    "no_source": PURPLE,
    "empty": YELLOW,
    "error": ORANGE,
}


@style()
def augmentation_figure(summary: Mapping[str, Any]) -> Figure:
    """Return a panel for each task and source: of each method the share of variants that were made, and of reasons.

    Args:
        summary: Content of ``summary.json``.
    """
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for bank in summary["banks"]:
        panels.setdefault((bank["task"], bank["source"]), []).append(bank)
    most = max(len({bank["method"] for bank in banks}) for banks in panels.values())
    figure, axes = new_figure(len(panels), 1, width=7.5, height=1.2 + 0.28 * most)
    for place, ((task, source), banks) in zip(axes, sorted(panels.items()), strict=True):
        _panel(place, banks)
        what = "sentences" if source == "original" else f"variants by {source} methods"
        place.set_title(f"{task}: {what} varied by", loc="left")
    shown = [name for name in _COLOURS if any(_count(bank, name) for bank in summary["banks"])]
    handles = [axes[0].barh([0], [0], color=_COLOURS[name], label=name) for name in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(shown))
    return figure


def _panel(axes: Axes, banks: Sequence[Mapping[str, Any]]) -> None:
    methods = sorted({bank["method"] for bank in banks}, reverse=True)
    for place, method in enumerate(methods):
        own = [bank for bank in banks if bank["method"] == method]
        asked = sum(bank["rows"] for bank in own)
        left = 0.0
        for name, colour in _COLOURS.items():
            share = sum(_count(bank, name) for bank in own) / asked if asked else 0.0
            axes.barh([place], [share], left=left, color=colour)
            left += share
        made, seconds = sum(bank["made"] for bank in own), sum(bank["seconds"] for bank in own)
        axes.text(1.01, place, f"{made} of {asked}, {seconds:.0f} s", va="center", fontsize=8)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))


def _count(bank: Mapping[str, Any], name: str) -> int:
    return int(bank[_MADE] if name == _MADE else bank["rejected"][name])
