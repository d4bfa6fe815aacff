"""Which shard runs which trial: longest first by a cost model, so that shards end at about the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from evidence_hpo.search.records import Proposals, ProposedTrial, TrialRecord

__all__ = ["assign", "in_running_order", "relative_cost"]

AnyTrial = TypeVar("AnyTrial", ProposedTrial, TrialRecord)

_FORWARD, _BACKWARD = 1.0, 2.0
"""A backward pass costs about twice a forward pass, and only for the layers that are trained."""


def relative_cost(
    trial: ProposedTrial, epochs: int, data_fraction: float, backbones: Mapping[str, Mapping[str, Any]]
) -> float:
    """Return the expected cost of a trial, in arbitrary units.

    Args:
        trial: The trial.
        epochs: Epochs of its stage.
        data_fraction: Share of the training posts.
        backbones: Manifests by name; ``layers`` and ``hidden`` give the size.
    """
    parameters = trial.parameters
    manifest = backbones.get(str(parameters["backbone"]), {})
    layers, hidden = float(manifest.get("layers") or 12), float(manifest.get("hidden") or 768)
    trained = max(0.0, layers - float(parameters.get("frozen_layers", 0)))
    passes = _FORWARD * layers + _BACKWARD * trained
    shown = data_fraction * _variants(parameters)
    return epochs * shown * float(parameters["max_length"]) * passes * hidden**2


def _variants(parameters: Mapping[str, Any]) -> float:
    """Return how much larger augmentation makes an epoch, as if every example held one evidence sentence."""
    if parameters.get("augmentation", "none") == "none":
        return 1.0
    share = float(parameters["augmentation_probability"])
    kept = 1.0 if parameters["augmentation_mode"] == "add" else 1.0 - share
    return kept + share * float(parameters["augmentation_variants"])


def assign(proposals: Proposals, backbones: Mapping[str, Mapping[str, Any]], shards: int) -> list[list[ProposedTrial]]:
    """Return the trials of each shard, every trial in exactly one.

    The longest trial goes to the shard with the least work so far. The result depends on the arguments alone, so
    jobs that know nothing of each other agree. Within a shard, trials of one encoder follow each other: it is loaded
    once.
    """
    costs = {
        trial.number: relative_cost(trial, proposals.epochs, proposals.data_fraction, backbones)
        for trial in proposals.trials
    }
    loads = [0.0] * shards
    assigned: list[list[ProposedTrial]] = [[] for _ in range(shards)]
    for trial in sorted(proposals.trials, key=lambda one: (-costs[one.number], one.number)):
        shard = min(range(shards), key=lambda index: (loads[index], index))
        loads[shard] += costs[trial.number]
        assigned[shard].append(trial)
    return [in_running_order(trials) for trials in assigned]


def in_running_order(trials: Sequence[AnyTrial]) -> list[AnyTrial]:
    """Return the trials of a shard in the order in which it runs them."""
    return sorted(trials, key=lambda trial: (str(trial.parameters["backbone"]), trial.number))
