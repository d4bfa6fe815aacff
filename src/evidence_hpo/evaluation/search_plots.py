"""Figures of the search of one architecture: history, importances, learning curves, slices, stages, rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evidence_hpo.evaluation.distributions import stored_value
from evidence_hpo.evaluation.figures import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    VERMILLION,
    log_scale,
    new_figure,
    say,
    style,
    whole_numbers,
)
from evidence_hpo.evaluation.importance import Importances, parameter_importances

__all__ = [
    "MANY",
    "StageTrials",
    "correlation_figure",
    "curves_figure",
    "history_figure",
    "importance_figure",
    "rounds_figure",
    "slices_figure",
]

_SLICES = 6
MANY = 150
"""Trials from which lines and points are drawn as an image within the SVG, which would be megabytes otherwise."""
_FEW_VALUES = 8
"""A whole number with at most so many values is drawn like a choice."""
_STATES = (("complete", BLUE, "o", 22), ("pruned", ORANGE, "x", 20), ("failed", VERMILLION, "v", 28))


@dataclass(frozen=True)
class StageTrials:
    """A stage of the search: its name, its trial records in the order of their numbers, its space.

    ``reruns`` is the entry of its ``summary.json``, ``times`` what :func:`stage_times` says of its rounds.
    """

    name: str
    trials: Sequence[Mapping[str, Any]]
    space: Mapping[str, Any]
    reruns: Mapping[str, Any] | None = None
    times: Mapping[str, Any] | None = None

    @cached_property
    def importances(self) -> Importances:
        """Importances of the parameters in this stage."""
        return parameter_importances(self.trials, self.space)


@style()
def history_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return the objective of every trial in order, with the best so far within each stage.

    The best starts anew in each stage, because stages differ in epochs and data, so their values do too.
    """
    figure, (axes,) = new_figure(1, 1, width=9, height=3.6)
    values = [value for stage in stages for trial in stage.trials if (value := trial["value"]) is not None]
    if not values:
        say(axes, "no trial has a value")
        return figure
    floor = min(values) - 0.05 * (max(values) - min(values) or 1.0)
    start = 0
    for stage in stages:
        _stage_history(axes, stage, start, floor)
        start += len(stage.trials)
    shown = {trial["state"] for stage in stages for trial in stage.trials}
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"{state} trial")
        for state, colour, marker, _ in _STATES
        if state in shown
    ]
    handles.append(Line2D([], [], color=BLACK, drawstyle="steps-post", label="best complete trial of the stage so far"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
    axes.set(xlabel="Trial, in the order of proposal", ylabel=f"Validation {_objective(stages)}")
    axes.set_title("Search history", pad=18)
    whole_numbers(axes)
    axes.grid(axis="y")
    return figure


def _stage_history(axes: Axes, stage: StageTrials, start: int, floor: float) -> None:
    for state, colour, marker, size in _STATES:
        points = [
            (start + number, floor if trial["value"] is None else trial["value"])
            for number, trial in enumerate(stage.trials)
            if trial["state"] == state
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, s=size, c=colour, marker=marker, linewidths=1.2, zorder=3)
    complete = [trial["value"] if trial["state"] == "complete" else -np.inf for trial in stage.trials]
    best = np.maximum.accumulate(complete) if complete else np.array([])
    known = np.isfinite(best)
    axes.plot(
        np.arange(start, start + len(best))[known], best[known], color=BLACK, linewidth=1.4, drawstyle="steps-post"
    )
    if start:
        axes.axvline(start - 0.5, color=GREY, linewidth=0.8, linestyle="--")
    middle = start + (len(stage.trials) - 1) / 2
    axes.annotate(
        _stage_label(stage), (middle, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
    )


def _stage_label(stage: StageTrials) -> str:
    if not stage.trials:
        return stage.name
    first = stage.trials[0]
    return (
        f"{stage.name}: {len(stage.trials)} trials, {first['epochs']} epochs, {first['data_fraction']:.0%} of the data"
    )


@style()
def importance_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return one panel a stage: the share of the objective's variance that each parameter explains."""
    tallest = max((len(stage.space["dimensions"]) for stage in stages), default=1)
    figure, panels = new_figure(1, len(stages), width=4.4, height=max(2.2, 0.9 + 0.26 * tallest))
    for axes, stage in zip(panels, stages, strict=True):
        found = stage.importances
        if found.reason is not None:
            say(axes, f"{stage.name}:\n{found.reason}")
            continue
        names, values = list(found.values)[::-1], list(found.values.values())[::-1]
        bars = axes.barh(names, values, color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
        axes.set(xlim=(0, 1.15 * max(values)), xlabel="Share of the variance explained (fANOVA)")
        left_out = f"\nonly in some trials, left out: {', '.join(found.left_out)}" if found.left_out else ""
        axes.set_title(f"{stage.name}{left_out}", fontsize=10 if not left_out else 8)
        axes.grid(axis="x")
    return figure


@style()
def curves_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return one panel a stage: the objective over the epochs of each trial, with the rungs' thresholds."""
    figure, panels = new_figure(1, len(stages), width=4.6, height=3.6)
    for axes, stage in zip(panels, stages, strict=True):
        _curves(axes, stage)
    handles = [Line2D([], [], color=GREY, label="complete"), Line2D([], [], color=ORANGE, label="pruned")]
    handles += [
        Line2D([], [], color=BLUE, linewidth=2.2, label="best trial"),
        Line2D([], [], color=BLACK, marker="_", markersize=9, linestyle="", label="threshold of a rung"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _curves(axes: Axes, stage: StageTrials) -> None:
    ranked = [trial for trial in stage.trials if trial["state"] == "complete"]
    best = max(ranked, key=lambda trial: (trial["value"], -trial["number"]), default=None)
    many = len(stage.trials) > MANY
    faint = 0.25 if many else 0.7
    drawn = 0
    for trial in stage.trials:
        points = [
            (point["epoch"], value)
            for point in trial["evaluations"]
            if (value := point["metrics"].get(trial["objective"])) is not None
        ]
        if not points:
            continue
        drawn += 1
        x, y = zip(*points, strict=True)
        special = trial is best
        colour = BLUE if special else ORANGE if trial["state"] == "pruned" else GREY
        style: Any = {"linewidth": 2.2, "zorder": 4, "alpha": 1.0} if special else {"linewidth": 0.9, "alpha": faint}
        axes.plot(x, y, color=colour, marker="o", markersize=2.5, rasterized=many and not special, **style)
    if not drawn:
        say(axes, f"{stage.name}:\nno trial was evaluated")
        return
    rungs = {
        (rung["epoch"], rung["threshold"])
        for trial in stage.trials
        for rung in trial["rungs"]
        if rung["threshold"] is not None
    }
    if rungs:
        x, y = zip(*sorted(rungs), strict=True)
        axes.scatter(x, y, marker="_", s=110, c=BLACK, linewidths=1.6, zorder=5)
    axes.set(title=stage.name, xlabel="Epoch", ylabel=f"Validation {_objective([stage])}")
    last = max(trial["epochs"] for trial in stage.trials)
    axes.set_xlim(0, 1.04 * last)
    if last > 1:
        whole_numbers(axes)
    axes.grid()


@style()
def slices_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return the objective over the values of the most important parameters, stages in different colours."""
    shown = _most_important(stages)
    if not shown:
        figure, (axes,) = new_figure(1, 1)
        say(axes, "no parameter was searched")
        return figure
    columns = min(3, len(shown))
    figure, panels = new_figure(-(-len(shown) // columns), columns, width=3.4, height=2.7)
    for axes, name in zip(panels, shown, strict=False):
        _slice(axes, stages, name)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel(f"Validation\n{_objective(stages)}")
    handles = [
        Line2D([], [], linestyle="", label=stage.name, **_stage_style(number)) for number, stage in enumerate(stages)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title="complete trials of")
    return figure


_MARKERS = ("o", "s", "^", "D", "P", "X")


def _most_important(stages: Sequence[StageTrials]) -> list[str]:
    """Return at most six parameters: the most important of the last stage that tells, then the others."""
    told = [list(stage.importances.values) for stage in reversed(stages)]
    ranked = [name for names in told for name in names]
    ranked += sorted({name for stage in stages for trial in stage.trials for name in trial["sampled"]})
    return list(dict.fromkeys(ranked))[:_SLICES]


def _slice(axes: Axes, stages: Sequence[StageTrials], name: str) -> None:
    dimensions = [entry for stage in stages for entry in stage.space["dimensions"] if entry["name"] == name]
    dimension = dimensions[0] if dimensions else {"kind": "categorical", "log": False}
    points = [
        (number, stored_value(trial["sampled"][name]), trial["value"])
        for number, stage in enumerate(stages)
        for trial in stage.trials
        if trial["state"] == "complete" and name in trial["sampled"]
    ]
    axes.set_xlabel(name)
    axes.grid(axis="y")
    if not points:
        say(axes, f"{name}:\nin no complete trial")
        return
    values = sorted({value for _, value, _ in points}, key=lambda value: (type(value).__name__, value))
    placed = dimension["kind"] == "categorical" or (dimension["kind"] == "int" and len(values) <= _FEW_VALUES)
    place = {value: float(position) for position, value in enumerate(values)}
    for number in range(len(stages)):
        own = [(value, score) for stage, value, score in points if stage == number]
        shift = 0.16 * (number - (len(stages) - 1) / 2)
        x = [place[value] + shift if placed else value for value, _ in own]
        style = _stage_style(number)
        axes.scatter(
            x, [score for _, score in own], s=16, alpha=0.8, linewidths=0, rasterized=len(points) > MANY, **style
        )
    if placed:
        crowded = sum(len(str(value)) for value in values) > 24
        axes.set_xticks(list(place.values()), [str(value) for value in values], rotation=25 if crowded else 0)
        axes.set_xlim(-0.6, len(values) - 0.4)
    elif dimension["log"]:
        log_scale(axes)


@style()
def correlation_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return one panel for each stage that re-ran trials: their values there over those in the stage before."""
    compared = [(stage, stage.reruns) for stage in stages if stage.reruns is not None]
    if not compared:
        figure, (axes,) = new_figure(1, 1)
        say(axes, "no stage re-ran trials of the stage before")
        return figure
    figure, panels = new_figure(1, len(compared), width=4.2, height=3.8)
    for axes, (stage, reruns) in zip(panels, compared, strict=True):
        _correlation(axes, stage, reruns)
    return figure


def _correlation(axes: Axes, stage: StageTrials, reruns: Mapping[str, Any]) -> None:
    pairs = reruns["pairs"]
    if not pairs:
        say(axes, f"{stage.name}:\nno re-run trial is complete")
        return
    x, y = [pair["value_before"] for pair in pairs], [pair["value"] for pair in pairs]
    axes.scatter(x, y, s=26, c=BLUE, zorder=3)
    if len(pairs) <= _FEW_NAMES:
        for pair, before, after in zip(pairs, x, y, strict=True):
            axes.annotate(str(pair["origin"]), (before, after), xytext=(4, 3), textcoords="offset points", fontsize=7)
    found = "too few that differ for a rank correlation"
    if reruns["spearman"] is not None:
        found = f"Spearman {reruns['spearman']:+.2f}, Kendall {reruns['kendall']:+.2f}"
    axes.set_title(f"{len(pairs)} re-run trials\n{found}")
    objective = _objective([stage])
    axes.set(
        xlabel=f"Validation {objective} in {reruns['stage_before']}", ylabel=f"Validation {objective} in {stage.name}"
    )
    axes.margins(0.12)
    axes.grid()


@style()
def rounds_figure(stages: Sequence[StageTrials]) -> Figure:
    """Return one panel a stage: what the jobs of each round worked, and what they waited for the longest of them."""
    figure, panels = new_figure(1, len(stages), width=4.6, height=3.4)
    longest = max((one["work_seconds"] + one["waiting_seconds"] for s in stages for one in _rounds(s)), default=0.0)
    unit, seconds = next((unit for unit in _UNITS if longest >= 2 * unit[1]), _UNITS[-1])
    for axes, stage in zip(panels, stages, strict=True):
        rounds = _rounds(stage)
        if not rounds or stage.times is None:
            say(axes, f"{stage.name}:\nno round was timed")
            continue
        numbers = [one["round"] for one in rounds]
        work = [one["work_seconds"] / seconds for one in rounds]
        waiting = [one["waiting_seconds"] / seconds for one in rounds]
        axes.bar(numbers, work, color=BLUE, width=0.75)
        axes.bar(numbers, waiting, bottom=work, color=ORANGE, width=0.75)
        most = "at most " if stage.times["upper_bound"] else ""
        axes.set_title(f"{stage.name}: {most}{stage.times['waiting_share']:.0%} of the jobs' time was waited")
        axes.set(xlabel="Round", ylabel=f"Time of the round's jobs together ({unit})")
        axes.set_xlim(-0.7, max(numbers) + 0.7)
        whole_numbers(axes)
        axes.grid(axis="y")
    handles = [
        Line2D([], [], color=colour, marker="s", linestyle="", label=label)
        for colour, label in ((BLUE, "work"), (ORANGE, "waiting for the round's longest job"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


_FEW_NAMES = 24
"""Re-run trials up to which each is named."""

_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def _rounds(stage: StageTrials) -> Sequence[Mapping[str, Any]]:
    return stage.times["rounds"] if stage.times is not None else ()


def _stage_style(number: int) -> Any:
    return {"color": COLOURS[number % len(COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}


def _objective(stages: Sequence[StageTrials]) -> str:
    return next((str(trial["objective"]) for stage in stages for trial in stage.trials), "objective")
