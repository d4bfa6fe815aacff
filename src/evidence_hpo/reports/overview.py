"""The page that a supervisor reads in a minute: what is on it, drawn from the result files alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evidence_hpo.evaluation.levels import level_text
from evidence_hpo.evaluation.reports import FLOOR_NAMES, refit_verdicts
from evidence_hpo.reports.cost_plot import part_name
from evidence_hpo.reports.units import energy_unit, lasting

__all__ = ["commits", "contender", "overview", "rendered"]

METRICS = {"macro_f1": "macro-F1", "char_f1": "character F1"}
MOST_IMPORTANT = 3


def overview(
    *,
    summary: Mapping[str, Any],
    report: Mapping[str, Any],
    evaluations: Sequence[Mapping[str, Any]],
    retraining: Mapping[str, Any],
    spaces: Sequence[Mapping[str, Any]],
    cost: Mapping[str, Any],
    corpus: Mapping[str, Any],
    splits: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the page shows.

    Args:
        summary: Content of ``study_summary.json``.
        report: Content of ``evaluation_report.json``.
        evaluations: Contents of the architectures' ``evaluation.json``.
        retraining: Content of ``retrain_summary.json``.
        spaces: Contents of all ``space.json``.
        cost: Content of ``cost.json``.
        corpus: Content of the corpus report.
        splits: Content of ``splits.json``.
    """
    searched = {name: _searched(name, spaces) for name in summary["architectures"]}
    return {
        "study": summary["study_name"],
        "confidence": level_text(report["confidence"]),
        "finished": cost["finished_at"][:10],
        "source": corpus["source"]["kind"],
        "posts": {name: one["posts"] for name, one in splits["counts"].items()},
        "verdicts": [
            _verdict(evaluation, verdict, report["architectures"][evaluation["architecture"]])
            for evaluation in evaluations
            for verdict in report["architectures"][evaluation["architecture"]]["verdicts"]
        ],
        "stages": [
            {"architecture": name, **stage, "important": _important(stage)}
            for name, one in summary["architectures"].items()
            for stage in one["stages"]
        ],
        "searched": searched,
        "winners": [
            _winner(name, retraining["architectures"][name], report["architectures"][name], searched[name])
            for name in summary["architectures"]
        ],
        "cost": _cost(cost),
        "digests": _digests(summary["provenance"], retraining["architectures"]),
        "versions": summary["provenance"]["versions"],
        "ids": {"study": summary["study_id"], "report": summary["report_id"]},
    }


def _searched(architecture: str, spaces: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the parameters that any stage of an architecture searched."""
    own = [space for space in spaces if space["architecture"] == architecture]
    return sorted({dimension["name"] for space in own for dimension in space["dimensions"]})


def _important(stage: Mapping[str, Any]) -> list[str]:
    """Return the parameters that explain most of a stage's variance; none where importances are not known."""
    values: Mapping[str, float] = stage["importances"]
    return sorted(values, key=lambda name: (-values[name], name))[:MOST_IMPORTANT]


def contender(name: str, score: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a line of the drawing that sets a model beside its floors."""
    return {"name": name, "kind": kind, **{key: score[key] for key in ("mean", "low", "high")}}


def _verdict(evaluation: Mapping[str, Any], verdict: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    task = evaluation["tasks"][verdict["task"]]
    metric, thresholds = verdict["metric"], verdict["thresholds"]
    refits = [one for one in refit_verdicts(evaluation) if one["task"] == verdict["task"]]
    shown = [contender("the model", verdict["score"], "model")]
    shown += [contender("refit on all but test", one["score"], "refit") for one in refits]
    shown += [
        contender(FLOOR_NAMES.get(floor["name"], floor["name"]), floor["metrics"][thresholds][metric], "floor")
        for floor in task["floors"]
    ]
    return {
        "architecture": evaluation["architecture"],
        "task": verdict["task"],
        "metric": METRICS.get(metric, metric),
        "above": verdict["above_all_floors"],
        "score": verdict["score"],
        "seeds": verdict["score"]["per_seed"],
        "best_floor": FLOOR_NAMES.get(verdict["best_floor"], verdict["best_floor"]),
        "difference": verdict["difference"],
        "rows": task["rows"]["test"],
        "contenders": shown,
        "refits": refits,
        "warnings": [one["message"] for one in report["warnings"] if one["task"] in (verdict["task"], None)],
    }


def _winner(
    name: str, retrained: Mapping[str, Any], report: Mapping[str, Any], searched: Sequence[str]
) -> dict[str, Any]:
    parameters: Mapping[str, Any] = retrained["parameters"]
    chosen = next(one for one in retrained["configurations"] if one["rank"] == retrained["chosen_rank"])
    return {
        "architecture": name,
        "origin": chosen["origin"],
        "objective": retrained["objective"],
        "values": report["validation"],
        "retrained_seeds": len(chosen["seeds"]),
        "final_seeds": len(retrained["final"]["seeds"]),
        "refit_seeds": len(retrained["refit"]["seeds"]) if retrained["refit"] else 0,
        "configurations": len(retrained["configurations"]),
        "searched": {key: shown(value) for key, value in parameters.items() if key in searched},
        "fixed": {key: shown(value) for key, value in parameters.items() if key not in searched},
        "augmentation": _augmentation(parameters),
        "model": f"results/models/{name}",
        "checkpoint": retrained["best_checkpoint"],
    }


def _augmentation(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return how the winner's training examples were augmented; nothing where they were not."""
    if parameters.get("augmentation", "none") == "none":
        return {}
    own = ("augmentation", "simple_", "textattack_")
    return {name: shown(value) for name, value in parameters.items() if name.startswith(own)}


def shown(value: Any) -> str:
    """Return the value of a parameter for people: floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cost(cost: Mapping[str, Any]) -> dict[str, Any]:
    total = cost["total"]
    return {
        "wall": lasting(cost["wall_seconds"]),
        "work": lasting(total["job_seconds"]),
        "training": lasting(total["training_seconds"] or 0.0),
        "waiting": lasting(total["waiting_seconds"]),
        "workers": cost["workers"],
        "hosts": len(cost["hosts"]),
        "jobs": cost["jobs"],
        "untimed": cost["jobs_without_times"],
        "breaks": len(cost["breaks"]),
        "epochs": total["epochs"],
        "trials": total["trials"],
        "retrained": total["retrained"],
        "energy": _energy(cost),
        "parts": [
            {
                "name": part_name(part),
                "runs": part["runs"],
                "epochs": part["epochs"],
                "work": lasting(part["job_seconds"]),
                "share": part["job_seconds"] / total["job_seconds"] if total["job_seconds"] else 0.0,
                "energy": _joules(part["cpu_joules"], part["gpu_joules"]),
            }
            for part in cost["parts"]
        ],
    }


def _energy(cost: Mapping[str, Any]) -> list[str]:
    """Return what is known of the energy, in words, for each kind of counter that could be read."""
    readable, jobs, found = cost["energy_readable"], cost["jobs"] + cost["jobs_without_times"], []
    for kind, name in (("cpu", "processors"), ("gpu", "GPUs")):
        joules = cost["total"][f"{kind}_joules"]
        if joules is not None:
            found.append(f"{name}: {_joules(joules)} (counted in {readable[kind]} of {jobs} jobs)")
    return found


def _joules(*values: float | None) -> str | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    unit, size = energy_unit(sum(known))
    return f"{sum(known) / size:.3g} {unit}"


def _digests(provenance: Mapping[str, Any], retrained: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return names and SHA-256 of all that the results follow from, and of the weights; equal ones once."""
    rows: dict[str, list[str]] = {}
    for architecture, digest in provenance["backbones"].items():
        rows.setdefault(digest, []).append(f"encoder of {architecture}")
    for architecture, digest in provenance["code"].items():
        rows.setdefault(digest, []).append(f"training code of {architecture}")
    for splits in provenance["data"].values():
        for split, tasks in splits.items():
            for task, digest in tasks.items():
                rows.setdefault(digest, []).append(f"{task} examples, {split}")
    for architecture, content in retrained.items():
        rows.setdefault(content["best_checkpoint"]["sha256"], []).append(f"best weights of {architecture}")
    return [{"name": ", ".join(dict.fromkeys(names)), "sha256": digest} for digest, names in rows.items()]


def commits(provenance: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the commits that jobs ran from, the most used first: hash, whether files differed from it, and jobs."""
    counts: dict[tuple[str, bool], int] = {}
    for one in provenance:
        if one["git"]:
            key = (one["git"]["commit"], one["git"]["dirty"])
            counts[key] = counts.get(key, 0) + 1
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return [{"commit": commit, "dirty": dirty, "jobs": counts[commit, dirty]} for commit, dirty in ordered]


def rendered(template: Path, content: Mapping[str, Any]) -> str:
    """Return the page; everything that is filled in is escaped."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(content) + "\n"
