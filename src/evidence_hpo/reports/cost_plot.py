"""The figure of what a study cost: hours, epochs and energy of each of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evidence_hpo.evaluation.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, say, style
from evidence_hpo.reports.units import energy_unit, time_unit

__all__ = ["cost_figure", "part_name"]


def part_name(part: Mapping[str, Any]) -> str:
    """Return what a part of ``cost.json`` is called."""
    return f"{part['architecture']} {part['part']}" if part["architecture"] else str(part["part"])


@style()
def cost_figure(cost: Mapping[str, Any]) -> Figure:
    """Return the figure of the content of ``cost.json``."""
    parts: Sequence[Mapping[str, Any]] = cost["parts"]
    figure, (hours, epochs, energy) = new_figure(1, 3, width=4.2, height=1.7 + 0.26 * len(parts))
    _hours(hours, parts)
    _epochs(epochs, parts)
    _energy(energy, parts)
    hours.set_yticks(range(len(parts)), [part_name(part) for part in parts])
    for axes in (epochs, energy):
        if axes.axison:
            axes.set_yticks(range(len(parts)), [""] * len(parts))
    for axes in (hours, epochs, energy):
        if axes.axison:
            axes.set_ylim(len(parts) - 0.4, -0.6)
            axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=6)
    return figure


def _hours(axes: Axes, parts: Sequence[Mapping[str, Any]]) -> None:
    longest = max(part["job_seconds"] for part in parts)
    unit, seconds = time_unit(longest)
    training = [min(part["training_seconds"] or 0.0, part["job_seconds"]) / seconds for part in parts]
    rest = [part["job_seconds"] / seconds - own for part, own in zip(parts, training, strict=True)]
    rows = range(len(parts))
    axes.barh(rows, training, color=BLUE, height=0.7, label="training")
    axes.barh(rows, rest, left=training, color=ORANGE, height=0.7, label="all else")
    axes.set_xlabel(f"Time of the jobs together ({unit})")
    axes.set_title("Time")


def _epochs(axes: Axes, parts: Sequence[Mapping[str, Any]]) -> None:
    spent = [part["epochs"] or 0.0 for part in parts]
    if not any(spent):
        say(axes, "no epoch was trained")
        return
    saved = [max(0.0, (part["epochs_full"] or 0.0) - own) for part, own in zip(parts, spent, strict=True)]
    rows = range(len(parts))
    axes.barh(rows, spent, color=BLUE, height=0.7, label="trained")
    axes.barh(rows, saved, left=spent, color=GREY, alpha=0.45, height=0.7, label="saved by ending early")
    axes.set(xlabel="Epochs", title="Epochs")


def _energy(axes: Axes, parts: Sequence[Mapping[str, Any]]) -> None:
    known = [part[key] for part in parts for key in ("cpu_joules", "gpu_joules") if part[key] is not None]
    if not known:
        say(axes, "Energy: unknown.\nNo counter of this hardware\ncould be read.")
        return
    unit, joules = energy_unit(max(known))
    rows = range(len(parts))
    cpu = [(part["cpu_joules"] or 0.0) / joules for part in parts]
    gpu = [(part["gpu_joules"] or 0.0) / joules for part in parts]
    if any(part["cpu_joules"] is not None for part in parts):
        axes.barh(rows, cpu, color=PURPLE, height=0.7, label="processors")
    if any(part["gpu_joules"] is not None for part in parts):
        axes.barh(rows, gpu, left=cpu, color=GREEN, height=0.7, label="GPUs")
    axes.set(xlabel=f"Energy ({unit}), as far as counters could be read", title="Energy")
