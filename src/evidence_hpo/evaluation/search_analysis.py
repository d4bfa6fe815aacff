"""The content of ``search_analysis.json``: what the search of one architecture found out about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.importance import (
    Importances,
    conditional_importances,
    parameter_importances,
    top_importances,
)
from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.evaluation.round_times import stage_times
from evidence_hpo.evaluation.search_edges import edge_report
from evidence_hpo.schemas import read_artefact, read_artefact_lines

__all__ = ["AnalysedStage", "analyse", "convergence", "read_stages"]

Trials = Sequence[Mapping[str, Any]]

_MOST = 0.95
"""Share of the final improvement at which a search is called converged."""


@dataclass(frozen=True)
class AnalysedStage:
    """What is known of a stage: its records in the order of their numbers, its ``summary.json``, its ``space.json``."""

    trials: Trials
    summary: Mapping[str, Any]
    space: Mapping[str, Any]
    lag: int = 0

    @property
    def name(self) -> str:
        """Name of the stage."""
        return str(self.summary["stage"])

    @property
    def on_gpu(self) -> bool:
        """Whether its trials ran on a GPU: only there a job runs several at once."""
        return any(trial["versions"].get("device") == "cuda" for trial in self.trials)

    def times(self, trials_per_gpu: int) -> dict[str, Any]:
        """Return work and waiting of its rounds; see :func:`evidence_hpo.evaluation.round_times.stage_times`."""
        at_once = trials_per_gpu if self.on_gpu else 1
        return stage_times(self.summary["timing"], lag=self.lag, at_once=at_once)


def read_stages(
    trials: Sequence[Path], summaries: Sequence[Path], spaces: Sequence[Path], lags: Sequence[int]
) -> list[AnalysedStage]:
    """Read the files of the stages of one architecture, all in the order of the stages.

    Raises:
        DataError: A file is missing or breaks its schema, or the numbers of files differ.
    """
    if not len(trials) == len(summaries) == len(spaces) == len(lags):
        counts = f"{len(trials)} trial files, {len(summaries)} summaries, {len(spaces)} spaces and {len(lags)} lags"
        raise DataError(f"{counts}: each stage needs one of each")
    return [
        AnalysedStage(
            sorted(read_artefact_lines(rows, "trial"), key=lambda trial: trial["number"]),
            read_artefact(summary, "stage_summary"),
            read_artefact(space, "space"),
            lag,
        )
        for rows, summary, space, lag in zip(trials, summaries, spaces, lags, strict=True)
    ]


def analyse(stages: Sequence[AnalysedStage], chosen: Mapping[str, Any], trials_per_gpu: int) -> dict[str, Any]:
    """Return the analysis.

    Args:
        stages: The stages of one architecture, in order.
        chosen: Content of its ``chosen.json``.
        trials_per_gpu: Trials that a job runs at once on a GPU.

    Raises:
        DataError: The files are of several architectures.
    """
    architectures = {stage.summary["architecture"] for stage in stages} | {chosen["architecture"]}
    if len(architectures) != 1:
        raise DataError(f"the files are of several architectures: {', '.join(sorted(architectures))}")
    spaces: list[Mapping[str, Any] | None] = [None, *(stage.space for stage in stages)]
    return {
        "study": chosen["study"],
        "architecture": chosen["architecture"],
        "objective": chosen["objective"],
        "stages": [_stage(stage, before) for stage, before in zip(stages, spaces, strict=False)],
        "optimism": _optimism(chosen),
        "timing": {
            "note": (
                "from the durations of the trials; waiting is shards * longest shard - work of each round, and an "
                "upper bound where a round does not wait for the one before it (lag)"
            ),
            "stages": {stage.name: stage.times(trials_per_gpu) for stage in stages},
        },
    }


def _stage(stage: AnalysedStage, before: Mapping[str, Any] | None) -> dict[str, Any]:
    epochs = stage.summary["epochs"]
    full = epochs["full"]
    return {
        "stage": stage.name,
        "trials": stage.summary["trials"],
        "states": stage.summary["states"],
        "importances": {
            "fanova": _importances(parameter_importances(stage.trials, stage.space)),
            "conditional": {
                name: {"trials": one.trials, "value": one.value, "note": one.reason}
                for name, one in conditional_importances(stage.trials, stage.space).items()
            },
            "ped_anova": _importances(top_importances(stage.trials, stage.space)),
        },
        "rank_correlation": _rank_correlation(stage.summary["reruns"]),
        "edges": edge_report(stage.trials, stage.space, before),
        "epochs": {
            **{name: rounded(epochs[name]) for name in ("full", "spent", "saved_by_pruning")},
            "saved_share": rounded(epochs["saved_by_pruning"] / full) if full else 0.0,
        },
        "convergence": convergence(stage.trials),
    }


def _importances(found: Importances) -> dict[str, Any]:
    return {"values": found.values, "note": found.reason, "left_out": list(found.left_out)}


def _rank_correlation(reruns: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return how the stage before predicts this one, and what became of its best trial."""
    if reruns is None:
        return None
    pairs = reruns["pairs"]
    best = max(pairs, key=lambda pair: (pair["value_before"], -pair["origin"]), default=None)
    return {
        "stage_before": reruns["stage_before"],
        "pairs": len(pairs),
        "spearman": reruns["spearman"],
        "kendall": reruns["kendall"],
        "note": reruns["note"],
        "best_before": None
        if best is None
        else {
            "number": best["origin"],
            "value": rounded(best["value_before"]),
            "rerun_number": best["number"],
            "rerun_value": rounded(best["value"]),
            "optimism": rounded(best["value_before"] - best["value"]),
            "note": "the re-run has another seed, and the epochs and data of its own stage, which raise its value",
        },
    }


def convergence(trials: Trials) -> dict[str, Any]:
    """Return the improvements of the best complete trial so far, in the order of the trials' numbers.

    ``trials_to_95`` is after how many proposed trials 95 % of the improvement over the first complete trial was there.
    """
    steps: list[dict[str, Any]] = []
    for trial in sorted(trials, key=lambda one: one["number"]):
        if trial["state"] == "complete" and (not steps or trial["value"] > steps[-1]["value"]):
            steps.append({"number": trial["number"], "round": trial["round"], "value": trial["value"]})
    if not steps:
        return {"steps": [], "trials_to_95": None, "share_of_trials": None, "trials_since_best": None}
    first, last = steps[0]["value"], steps[-1]["value"]
    enough = next(step for step in steps if step["value"] >= first + _MOST * (last - first))
    return {
        "steps": [{**step, "value": rounded(step["value"])} for step in steps],
        "trials_to_95": enough["number"] + 1,
        "share_of_trials": rounded((enough["number"] + 1) / len(trials)),
        "trials_since_best": len(trials) - 1 - steps[-1]["number"],
    }


def _optimism(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far the search values of the retrained configurations lie above their means over new seeds."""
    rows = [
        {
            "rank": one["rank"],
            "stage": one["origin"]["stage"],
            "number": one["origin"]["number"],
            "search_value": rounded(one["search_value"]),
            "mean": None if one["mean"] is None else rounded(one["mean"]),
            "seeds": sum(seed["state"] == "complete" for seed in one["seeds"]),
            "optimism": None if one["optimism"] is None else rounded(one["optimism"]),
        }
        for one in chosen["configurations"]
    ]
    return {
        "best_trial": next((row for row in rows if row["rank"] == 0), None),
        "chosen_rank": chosen["chosen_rank"],
        "configurations": rows,
        "note": (
            "search value minus the mean over retrained seeds; a best of many noisy values is too high on average, "
            "and retrained models train on all training posts, which raises their mean"
        ),
    }
