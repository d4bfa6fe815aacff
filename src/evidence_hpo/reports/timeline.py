"""The figure of a study's jobs over time: which worker ran what, and how many jobs waited.

A worker is a place in which one job runs at a time; jobs of a machine are dealt to its workers in the order of their
start. Few jobs are drawn one by one. Of many, each row is a worker, or several, and each cell what was run most there.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from evidence_hpo.evaluation.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, style
from evidence_hpo.reports.jobs import REPORTS, RETRAINING, Clock, Job, study_clock
from evidence_hpo.reports.units import lasting, time_unit

__all__ = ["FEW_JOBS", "MOST_ROWS", "lanes", "timeline_figure"]

FEW_JOBS = 600
"""Jobs up to which each is drawn."""
MOST_ROWS = 40
CELLS = 200
_OF_STAGES = (BLUE, ORANGE, GREEN, SKY)
_FIXED = {"data": "#F0E442", "augmentation": PURPLE, RETRAINING: VERMILLION, "evaluation": "#8C564B", REPORTS: GREY}
_STEPS = (0.25, 0.5, 0.75, 1.0)
"""Shades of a cell, by the share of it that was worked."""
_PAD = 14

Lane = tuple[str, list[Job]]


def lanes(jobs: Sequence[Job]) -> list[Lane]:
    """Return the workers, each with its machine and its jobs in order; ``jobs`` in the order of their start."""
    free: dict[str, list[tuple[float, int]]] = {}
    found: dict[tuple[str, int], list[Job]] = {}
    for job in jobs:
        waiting = free.setdefault(job.host, [])
        number = heapq.heappop(waiting)[1] if waiting and waiting[0][0] <= job.started else len(waiting)
        found.setdefault((job.host, number), []).append(job)
        heapq.heappush(waiting, (job.finished, number))
    return [(host, of_lane) for (host, _), of_lane in sorted(found.items())]


@style()
def timeline_figure(jobs: Sequence[Job]) -> Figure:
    """Return the figure.

    Args:
        jobs: Finished jobs in the order of their start; at least one.
    """
    clock, workers = study_clock(jobs), lanes(jobs)
    unit, seconds = time_unit(clock.seconds)
    rows = min(len(workers), MOST_ROWS)
    figure = Figure(figsize=(11.0, 3.6 + 0.16 * rows), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[0.8 + 0.16 * rows, 1.6])
    colours = _colours(jobs)
    if len(jobs) <= FEW_JOBS and len(workers) <= MOST_ROWS:
        _draw_jobs(upper, workers, clock, seconds, colours)
    else:
        _draw_cells(upper, workers, clock, seconds, colours)
    _draw_counts(lower, jobs, clock, seconds, colours)
    for pause in clock.breaks:
        for axes in (upper, lower):
            axes.axvline(clock(pause.start) / seconds, color=GREY, linestyle=":", linewidth=1)
        upper.annotate(
            f"break of {lasting(pause.end - pause.start)}",
            (clock(pause.start) / seconds, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7,
            color="#555555",
        )
    lower.set(xlabel=f"Time since the start of the study ({unit}, without breaks)", xlim=(0, clock.seconds / seconds))
    handles = [Line2D([], [], color=colours[part], marker="s", linestyle="", label=part) for part in colours]
    handles.append(Line2D([], [], color="#000000", linewidth=1.2, label="jobs that wait"))
    figure.legend(handles=handles, loc="outside lower center", ncols=8)
    return figure


def _colours(jobs: Sequence[Job]) -> dict[str, str]:
    """Return the colour of each part of the study, in the order in which they begin; stages of one name share it."""
    parts = [*dict.fromkeys(job.phase[1] for job in jobs)]
    stages = [part for part in parts if part not in _FIXED]
    searched = {part: _OF_STAGES[number % len(_OF_STAGES)] for number, part in enumerate(stages)}
    return {part: _FIXED.get(part) or searched[part] for part in parts}


def _label_rows(axes: Axes, hosts: Sequence[str], each: int) -> None:
    """Name the machine beside the first of its rows."""
    firsts = [row for row, host in enumerate(hosts) if row == 0 or hosts[row - 1] != host]
    if len(set(hosts)) > 1:
        axes.set_yticks(firsts, [hosts[row] for row in firsts])
    else:
        axes.set_yticks(range(len(hosts)), [str(row * each + 1) for row in range(len(hosts))])
    axes.set_ylim(len(hosts) - 0.4, -0.6)
    axes.set_ylabel("Workers" if each == 1 else f"Workers ({each} a row)")


def _draw_jobs(axes: Axes, workers: Sequence[Lane], clock: Clock, seconds: float, colours: Mapping[str, str]) -> None:
    for row, (_, jobs) in enumerate(workers):
        for job in jobs:
            start, end = clock(job.started) / seconds, clock(job.finished) / seconds
            least = clock.seconds / seconds / 1500  # shorter ones would not be seen
            axes.broken_barh(
                [(start, max(end - start, least))], (row - 0.38, 0.76), facecolors=colours[job.phase[1]], linewidth=0
            )
    _label_rows(axes, [host for host, _ in workers], 1)
    axes.set_title(_title(workers), pad=_PAD)


def _draw_cells(axes: Axes, workers: Sequence[Lane], clock: Clock, seconds: float, colours: Mapping[str, str]) -> None:
    each = math.ceil(len(workers) / MOST_ROWS)
    groups = [workers[first : first + each] for first in range(0, len(workers), each)]
    parts, width = list(colours), clock.seconds / CELLS
    for row, group in enumerate(groups):
        worked = np.zeros((len(parts), CELLS))
        for _, jobs in group:
            for job in jobs:
                worked[parts.index(job.phase[1])] += _covered(clock(job.started), clock(job.finished), width)
        share = worked.sum(axis=0) / (width * len(group))
        main = worked.argmax(axis=0)
        for number, part in enumerate(parts):
            for low, high in zip((0.02, *_STEPS), _STEPS, strict=False):
                chosen = (main == number) & (share > low) & ((share <= high) | (high == 1.0))
                spans = _runs(chosen)
                scaled = [(first * width / seconds, count * width / seconds) for first, count in spans]
                axes.broken_barh(scaled, (row - 0.42, 0.84), facecolors=colours[part], alpha=high, linewidth=0)
    _label_rows(axes, [group[0][0] for group in groups], each)
    axes.set_title(f"{_title(workers)}: what each was busy with most; pale where it idled", pad=_PAD)


def _title(workers: Sequence[Lane]) -> str:
    jobs = sum(len(of_worker) for _, of_worker in workers)
    return f"{jobs:,} jobs of {len(workers)} {'workers' if len(workers) > 1 else 'worker'}"


def _covered(start: float, end: float, width: float) -> NDArray[np.float64]:
    """Return the seconds of each cell that lie between two moments."""
    edges = np.arange(CELLS + 1) * width
    covered: NDArray[np.float64] = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
    return covered


def _runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and length of the stretches that are true."""
    padded = np.concatenate([[False], chosen, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
    return [(int(start), int(end - start)) for start, end in zip(starts, ends, strict=True)]


def _draw_counts(axes: Axes, jobs: Sequence[Job], clock: Clock, seconds: float, colours: Mapping[str, str]) -> None:
    width = clock.seconds / CELLS
    middles = (np.arange(CELLS) + 0.5) * width / seconds
    running = {part: np.zeros(CELLS) for part in colours}
    waiting = np.zeros(CELLS)
    for job in jobs:
        running[job.phase[1]] += _covered(clock(job.started), clock(job.finished), width) / width
        if job.ready is not None:
            waiting += _covered(clock(job.ready), clock(job.started), width) / width
    axes.stackplot(middles, list(running.values()), colors=list(colours.values()), linewidth=0)
    axes.plot(middles, waiting, color="#000000", linewidth=1.2)
    axes.set(ylabel="Jobs at once", ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.grid(axis="y")
