"""The points of a run: values from its record where there is one, times from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evidence_hpo.tracking.names import metric_names, step_of
from evidence_hpo.tracking.results import RunEvents
from evidence_hpo.tracking.runs import Point

__all__ = ["curve_points", "evaluation_points", "evaluations_of"]


def evaluations_of(events: RunEvents) -> list[dict[str, Any]]:
    """Return the evaluations that a run under way has told of, as a record would have them."""
    return [
        {"epoch": epoch, "train": event.fields["train"], "metrics": event.fields["metrics"]}
        for epoch, event in sorted(events.points.items())
    ]


def curve_points(
    architecture: str,
    objective: str,
    evaluations: Sequence[Mapping[str, Any]],
    events: RunEvents,
    *,
    thousandths: bool,
    fallback: int,
) -> list[Point]:
    """Return the points of a run's evaluations and epochs; what is undefined there is left out.

    Args:
        architecture: criteria, evidence, share or joint.
        objective: What is maximised.
        evaluations: ``{"epoch", "train", "metrics"}`` in order.
        events: Its events.
        thousandths: Whether a step is a thousandth of an epoch.
        fallback: Time of a point that no event tells of, in milliseconds.
    """
    points = []
    best: tuple[float, int, int] | None = None
    for one in evaluations:
        epoch = float(one["epoch"])
        event = events.points.get(epoch)
        time, step = event.time if event else fallback, step_of(epoch, thousandths=thousandths)
        points.append(Point("epoch", step, epoch, time))
        for part in ("train", "metrics"):
            for metric, value in one[part].items():
                if value is not None:
                    points += [Point(name, step, value, time) for name in metric_names(architecture, part, metric)]
        value = one["metrics"].get(objective)
        if value is not None and (best is None or value > best[0]):
            best = (value, step, time)
            points.append(Point(f"best_val_{objective}", step, value, time))
    return [*points, *_system_points(events, thousandths=thousandths)]


def _system_points(events: RunEvents, *, thousandths: bool) -> Iterable[Point]:
    for epoch, event in sorted(events.system.items()):
        step = step_of(epoch, thousandths=thousandths)
        for name, value in event.fields["values"].items():
            yield Point(f"system/{name}", step, float(value), event.time)


def evaluation_points(evaluation: Mapping[str, Any], time: int, *, seed: int | None = None) -> list[Point]:
    """Return the scores on the test split, at the headline thresholds.

    Args:
        evaluation: Content of ``evaluation.json``, and as ``losses`` those of :func:`~.losses.losses_on_test`.
        time: Milliseconds since 1970.
        seed: Index of a seed, for the scores of its model; None: means over the seeds, with their intervals.
    """
    losses = evaluation["losses"]
    wanted = [losses[seed]] if seed in losses else list(losses.values()) if seed is None else []
    points = [Point("test_loss", 0, sum(wanted) / len(wanted), time)] if wanted else []
    position = evaluation["seeds"].index(seed) if seed is not None else None
    for task in evaluation["tasks"].values():
        for metric, score in task["metrics"][task["headline"]["thresholds"]].items():
            values = (
                {"": score["mean"], "_low": score["low"], "_high": score["high"]}
                if position is None
                else {"": score["per_seed"][position]}
            )
            points += [
                Point(f"test_{metric}{suffix}", 0, float(value), time)
                for suffix, value in values.items()
                if value is not None
            ]
    return points
