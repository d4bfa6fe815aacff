"""Parallel coordinates of a stage: each complete trial is a line over all searched parameters, by its objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from evidence_hpo.evaluation.distributions import stored_value
from evidence_hpo.evaluation.figures import GREY, new_figure, say, style
from evidence_hpo.evaluation.search_plots import MANY, StageTrials

__all__ = ["parallel_figure"]

_COLOURS = "viridis_r"
"""The best trials are dark on white, and drawn last."""

_FEW_LABELS = 6
_BREAK = 0.22
"""How far beside an axis a line ends that passes a parameter which did not act."""


@dataclass(frozen=True)
class _Scale:
    """Where values lie on an axis, from 0 to 1, and what its ticks say."""

    name: str
    places: Mapping[Any, float] | None
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @classmethod
    def of(cls, name: str, values: Sequence[Any], dimension: Mapping[str, Any] | None) -> _Scale:
        known = sorted(set(values), key=lambda value: (type(value).__name__, value))
        if dimension is None or dimension["kind"] == "categorical" or isinstance(known[0], str):
            step = 1.0 / max(1, len(known) - 1)
            return cls(name, {value: number * step if len(known) > 1 else 0.5 for number, value in enumerate(known)})
        low, high = min(known[0], dimension["low"]), max(known[-1], dimension["high"])
        return cls(name, None, float(low), float(high), dimension["log"])

    def at(self, value: Any) -> float:
        if self.places is not None:
            return self.places[value]
        low, high, own = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        return (own - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        if self.places is None:
            return [(0.0, f"{self.low:.4g}"), (1.0, f"{self.high:.4g}")]
        shown = list(self.places.items())
        if len(shown) > _FEW_LABELS:
            shown = [shown[0], shown[-1]]
        return [(place, str(value)) for value, place in shown]


@style()
def parallel_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return one panel a stage, one above the other; a line is interrupted at a parameter that did not act."""
    widest = max((len(_names(stage)) for stage in stages), default=1)
    figure, panels = new_figure(len(stages), 1, width=max(7.0, 1.6 + 0.85 * widest), height=3.6)
    for axes, stage in zip(panels, stages, strict=True):
        _panel(figure, axes, stage)
    return figure


def _complete(stage: StageTrials) -> list[Mapping[str, Any]]:
    complete = [trial for trial in stage.trials if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: (trial["value"], -trial["number"]))


def _names(stage: StageTrials) -> list[str]:
    """Return the searched parameters, the most important first."""
    searched = {name for trial in _complete(stage) for name in trial["sampled"]}
    ranked = [name for name in stage.importances.values if name in searched]
    return [*ranked, *sorted(searched - set(ranked))]


def _panel(figure: Figure, axes: Axes, stage: StageTrials) -> None:
    trials, names = _complete(stage), _names(stage)
    if not trials or not names:
        say(axes, f"{stage.name}:\nno complete trial with a searched parameter")
        return
    dimensions = {dimension["name"]: dimension for dimension in stage.space["dimensions"]}
    scales = [
        _Scale.of(
            name,
            [stored_value(trial["sampled"][name]) for trial in trials if name in trial["sampled"]],
            dimensions.get(name),
        )
        for name in names
    ]
    _axes(axes, scales)
    values = [trial["value"] for trial in trials]
    # The worst tenth would take most of the colours, which the good ones need to be told apart.
    norm = Normalize(float(np.quantile(values, 0.1)), max(values))
    colours = mpl.colormaps[_COLOURS]
    for place, trial in enumerate(trials):
        _line(axes, scales, trial, colours(norm(trial["value"])), place / len(trials), len(trials) > MANY)
    ranked = ", most important parameter first" if stage.importances.values else ""
    axes.set_title(f"{stage.name}: {len(trials)} complete trials{ranked}", loc="left", pad=52)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, pad=0.02, extend="min")
    bar.set_label(f"Validation {trials[0]['objective']}")


def _axes(axes: Axes, scales: Sequence[_Scale]) -> None:
    axes.set_xlim(-0.5, len(scales) - 0.5)
    axes.set_ylim(-0.06, 1.06)
    axes.set_axis_off()
    outline = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    for place, scale in enumerate(scales):
        axes.plot([place, place], [0, 1], color=GREY, linewidth=0.8, zorder=1)
        for height, label in scale.ticks():
            axes.text(place + 0.05, height, label, fontsize=6.5, va="center", zorder=6, bbox=outline)
        name = f"{scale.name} (log)" if scale.log else scale.name
        axes.text(place, 1.09, name, fontsize=7, rotation=22, ha="left", va="bottom")


def _line(
    axes: Axes, scales: Sequence[_Scale], trial: Mapping[str, Any], colour: Any, rank: float, as_image: bool
) -> None:
    heights = [
        scale.at(stored_value(trial["sampled"][scale.name])) if scale.name in trial["sampled"] else None
        for scale in scales
    ]
    segments: list[list[tuple[float, float]]] = []
    for place, height in enumerate(heights):
        if height is None:
            continue
        after = heights[place + 1] if place + 1 < len(heights) else None
        before = heights[place - 1] if place else None
        if after is not None:
            segments.append([(place, height), (place + 1, after)])
        elif place + 1 < len(heights):
            segments.append([(place, height), (place + _BREAK, height)])
        if before is None and place:
            segments.append([(place - _BREAK, height), (place, height)])
    faintest = 0.25 if as_image else 0.55
    strength = {"linewidths": 0.5 + 1.0 * rank**4, "alpha": faintest + (0.9 - faintest) * rank**2}
    axes.add_collection(
        LineCollection(segments, colors=[colour], zorder=2 + rank, rasterized=as_image, **strength), autolim=False
    )
