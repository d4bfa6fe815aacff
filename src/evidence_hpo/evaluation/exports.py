"""The content of ``evidence_hpo.json``: what an exported model is, what it was trained on, and how it decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.thresholds import DEFAULT_NULL_THRESHOLD, DEFAULT_PROBABILITY
from evidence_hpo.files import digest_json

__all__ = ["data_description", "export_description"]

_DEFAULTS = {"criteria": DEFAULT_PROBABILITY, "evidence": DEFAULT_NULL_THRESHOLD}
_SOURCE_KEYS = ("kind", "dataset", "revision", "seed")


def export_description(
    record: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    backbones: Sequence[Mapping[str, Any]],
    criteria: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    transformers_class: str | None,
    files: Mapping[str, str],
    *,
    max_answer_tokens: int,
) -> dict[str, Any]:
    """Return the description of an exported model.

    Args:
        record: Content of the exported run's ``record.json``.
        evaluation: Content of ``evaluation.json``.
        backbones: Manifests of the study's encoders.
        criteria: Content of ``criteria.json``.
        data: What :func:`data_description` gives.
        transformers_class: The class of transformers that the model is; None: this package loads it.
        files: SHA-256 of each file of the folder.
        max_answer_tokens: Longest span that is predicted.

    Raises:
        DataError: The evaluation or the manifests are not of this run.
    """
    backbone = _backbone(record, evaluation, backbones)
    identifiers = [criterion["id"] for criterion in criteria]
    return {
        "study": evaluation["study"],
        "architecture": evaluation["architecture"],
        "tasks": sorted(evaluation["tasks"]),
        "transformers_class": transformers_class,
        "seed": record["seed_index"],
        "training_seed": record["seed"],
        "trained_on": ["train", "validation"] if record["role"] == "refit" else ["train"],
        "parameters": record["parameters"],
        "max_answer_tokens": max_answer_tokens,
        "criteria": [dict(criterion) for criterion in criteria],
        "thresholds": {
            name: _thresholds(name, task["headline"]["thresholds"], _tuned(evaluation, name, record), identifiers)
            for name, task in sorted(evaluation["tasks"].items())
        },
        "validation": {
            "objective": record["objective"],
            "value": record["value"],
            "best_epoch": record["best_epoch"],
            "of_seeds": [model["value"] for model in evaluation["models"]],
        },
        "backbone": dict(backbone),
        "data": {**data, "tokens": {split: evaluation["digests"][split] for split in ("train", "validation", "test")}},
        "run": {key: record[key] for key in ("key", "epochs", "refit_epochs", "precision", "versions")}
        | {"code": record["digests"]["code"], "weights": record["checkpoint"]["sha256"]},
        "evaluation": digest_json(evaluation),
        "files": dict(files),
    }


def _backbone(
    record: Mapping[str, Any], evaluation: Mapping[str, Any], backbones: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return the manifest of a run's encoder, and check that the evaluation is of the run."""
    seed, role = record["seed_index"], record["role"]
    scored = evaluation["refit"] if role == "refit" else evaluation
    of_run = scored is not None and seed in scored["seeds"]
    if not of_run or evaluation["configuration"]["parameters"] != record["parameters"]:
        raise DataError(f"evaluation.json: is not of the {role} run with seed {seed}; run evaluate again")
    found = next((one for one in backbones if one["digest"] == record["digests"]["backbone"]), None)
    if found is None:
        raise DataError(f"the encoder of the {role} run with seed {seed} is not among the manifests; retrain it")
    return found


def _tuned(evaluation: Mapping[str, Any], name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the thresholds that a run was scored at: its own, or of a refit those of the refits."""
    if record["role"] == "refit":
        return dict(evaluation["refit"]["tasks"][name]["thresholds"])
    per_seed = evaluation["tasks"][name]["thresholds"]["per_seed"]
    own = next(one for one in per_seed if one["seed"] == record["seed_index"])
    return {key: value for key, value in own.items() if key != "seed"}


def _thresholds(name: str, strategy: str, tuned: Mapping[str, Any], criteria: Sequence[str]) -> dict[str, Any]:
    """Return the tuned thresholds, and as ``decision`` the one of each criterion behind the headline scores."""
    own = tuned.get("per_criterion", {}) if strategy == "per_criterion" else {}
    usual = _DEFAULTS[name] if strategy == "none" else tuned["global"]
    return {
        "strategy": strategy,
        "decision": {criterion: own.get(criterion, usual) for criterion in criteria},
        **tuned,
    }


def data_description(
    corpus: Mapping[str, Any], splits: Mapping[str, Any], examples: Mapping[str, Mapping[str, str]], unit: str
) -> dict[str, Any]:
    """Return what identifies the data: source, counts and digests, no text and no path.

    Args:
        corpus: Content of the corpus report.
        splits: Content of ``splits.json``.
        examples: Split -> task -> SHA-256 of the file of examples.
        unit: Text of a criteria example: sentence or post.
    """
    return {
        "source": {key: corpus["source"][key] for key in _SOURCE_KEYS if key in corpus["source"]},
        "corpus": dict(corpus["digests"]),
        "splits": {
            split: {"posts": splits["counts"][split]["posts"], "digest": digest}
            for split, digest in sorted(splits["digests"].items())
        },
        "criteria_unit": unit,
        "examples": {split: dict(of_split) for split, of_split in sorted(examples.items())},
    }
