"""Which configuration wins, and the summary of all that was retrained."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evidence_hpo.config.base import Section
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.search.records import Origin
from evidence_hpo.search.retrain_records import RetrainRecord, by_seed
from evidence_hpo.search.selection import RunPlan, Selected, SelectedConfiguration

__all__ = ["Chosen", "ConfigurationScore", "SeedScore", "choose", "summarize"]

_PENALTY = 0.1
"""Standard deviations that the adjusted score subtracts from the mean."""


class SeedScore(Section):
    """One seed of a configuration."""

    seed_index: int
    seed: int
    state: str
    value: float | None


class ConfigurationScore(Section):
    """A configuration over its seeds. ``optimism``: what the search saw minus the mean of the new seeds."""

    rank: int
    origin: Origin
    search_value: float
    mean: float | None
    standard_deviation: float | None
    optimism: float | None
    seeds: tuple[SeedScore, ...]


class Chosen(RunPlan):
    """The content of ``chosen.json``."""

    chosen_rank: int
    refit_epochs: int
    configuration: SelectedConfiguration
    configurations: tuple[ConfigurationScore, ...]
    notes: tuple[str, ...]


def choose(selected: Selected, records: Sequence[RetrainRecord]) -> Chosen:
    """Return the configuration with the best mean over its seeds; ties go to the lower rank.

    A configuration with a failed seed is chosen only if every one has a failed seed: a mean over the seeds that went
    well would hide what a user of the configuration will meet.

    Raises:
        TrainingError: Every run failed.
        DataError: The records belong to another selection.
    """
    _check(selected, records)
    scores = [_score(one, [r for r in records if r.rank == one.rank]) for one in selected.configurations]
    finished = [score for score in scores if score.mean is not None]
    if not finished:
        reasons = Counter(record.reason or "unknown" for record in records if record.state == "failed")
        commonest = "; ".join(f"{reason} ({count} runs)" for reason, count in reasons.most_common(3))
        raise TrainingError(
            f"{selected.architecture}: all retrained runs failed: {commonest}; correct the cause and delete the "
            "architecture's retrain folder to try again"
        )
    whole = [score for score in finished if all(seed.state == "complete" for seed in score.seeds)]
    best = min(whole or finished, key=lambda score: (-(score.mean or 0.0), score.rank))
    plan = {name: getattr(selected, name) for name in RunPlan.model_fields}
    return Chosen(
        **plan,
        chosen_rank=best.rank,
        refit_epochs=_refit_epochs([record for record in records if record.rank == best.rank]),
        configuration=next(one for one in selected.configurations if one.rank == best.rank),
        configurations=tuple(scores),
        notes=(*selected.notes, *_notes(scores)),
    )


def _check(selected: Selected, records: Sequence[RetrainRecord]) -> None:
    for record in records:
        if record.architecture != selected.architecture:
            raise DataError(f"a record is of {record.architecture}, the selection of {selected.architecture}")


def _score(configuration: SelectedConfiguration, records: Sequence[RetrainRecord]) -> ConfigurationScore:
    values = [record.value for record in by_seed(records) if record.state == "complete" and record.value is not None]
    mean, deviation = _mean_and_deviation(values)
    return ConfigurationScore(
        rank=configuration.rank,
        origin=configuration.origin,
        search_value=configuration.value,
        mean=mean,
        standard_deviation=deviation,
        optimism=None if mean is None else configuration.value - mean,
        seeds=tuple(
            SeedScore(seed_index=one.seed_index, seed=one.seed, state=one.state, value=one.value)
            for one in by_seed(records)
        ),
    )


def _mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean (None without values) and the sample standard deviation (None for fewer than two)."""
    mean = statistics.fmean(values) if values else None
    return mean, statistics.stdev(values) if len(values) > 1 else None


def _refit_epochs(records: Sequence[RetrainRecord]) -> int:
    """Return the rounded mean of the best epochs of a configuration's complete seeds, halves up, at least 1.

    What early stopping found with a validation split is what training on all data can go by: the same number of passes
    (Goodfellow, Bengio and Courville 2016, Deep Learning, algorithm 7.2).
    """
    best = [one.best_epoch for one in records if one.state == "complete" and one.best_epoch is not None]
    return max(1, math.floor(statistics.fmean(best) + 0.5))


def _notes(scores: Sequence[ConfigurationScore]) -> list[str]:
    notes = []
    for score in scores:
        failed = sum(seed.state == "failed" for seed in score.seeds)
        if failed:
            notes.append(f"rank {score.rank}: {failed} of {len(score.seeds)} seeds failed; its mean is of the others")
    return notes


# --- summary ---------------------------------------------------------------------------------------------------


def summarize(
    chosen: Sequence[Chosen],
    records: Sequence[RetrainRecord],
    finals: Sequence[RetrainRecord],
    refits: Sequence[RetrainRecord] = (),
) -> dict[str, Any]:
    """Return the content of ``retrain_summary.json``, by architecture.

    ``score_mean`` and ``score_std`` are over the final seeds, which chose nothing; ``adjusted`` is
    ``score_mean - 0.1 * score_std``. ``refit`` lists the checkpoints of the refits, which have no score; null without
    refits.

    Raises:
        TrainingError: All final runs of an architecture failed.
    """
    studies = {one.study for one in chosen}
    if len(studies) != 1:
        raise DataError(f"the choices are of several studies: {', '.join(sorted(studies))}")
    return {
        "study": studies.pop(),
        "architectures": {
            one.architecture: _architecture(
                one,
                [record for record in records if record.architecture == one.architecture],
                by_seed([record for record in finals if record.architecture == one.architecture]),
                by_seed([record for record in refits if record.architecture == one.architecture]),
            )
            for one in sorted(chosen, key=lambda one: one.architecture)
        },
    }


def _architecture(
    chosen: Chosen,
    records: Sequence[RetrainRecord],
    finals: Sequence[RetrainRecord],
    refits: Sequence[RetrainRecord],
) -> dict[str, Any]:
    complete = [record for record in finals if record.state == "complete" and record.value is not None]
    if not complete:
        reasons = Counter(record.reason or "unknown" for record in finals).most_common(1)
        raise TrainingError(
            f"{chosen.architecture}: all {len(finals)} final runs of rank {chosen.chosen_rank} failed: "
            f"{reasons[0][0] if reasons else 'none was run'}; correct the cause and delete the folder retrain/final"
        )
    mean, deviation = _mean_and_deviation([record.value for record in complete if record.value is not None])
    best = min(complete, key=lambda record: (-(record.value or 0.0), record.seed_index))
    assert mean is not None
    return {
        "objective": chosen.objective,
        "epochs": complete[0].epochs,
        "configurations": [
            {
                **score.model_dump(mode="json", exclude={"seeds"}),
                "parameters": _parameters(records, score.rank),
                "seeds": _seeds(by_seed([record for record in records if record.rank == score.rank])),
            }
            for score in chosen.configurations
        ],
        "chosen_rank": chosen.chosen_rank,
        "parameters": chosen.configuration.parameters,
        "final": {"mean": mean, "standard_deviation": deviation, "seeds": _seeds(finals)},
        "refit": {"refit_epochs": chosen.refit_epochs, "seeds": _seeds(refits)} if refits else None,
        "best_checkpoint": {**_checkpoint(best), "seed_index": best.seed_index, "value": best.value},
        "score_mean": mean,
        "score_std": deviation,
        "adjusted": mean - _PENALTY * (deviation or 0.0),
        "notes": list(chosen.notes),
    }


def _parameters(records: Sequence[RetrainRecord], rank: int) -> dict[str, Any]:
    return next((record.parameters for record in records if record.rank == rank), {})


def _seeds(records: Sequence[RetrainRecord]) -> list[dict[str, Any]]:
    return [
        {
            "seed_index": record.seed_index,
            "seed": record.seed,
            "state": record.state,
            "value": record.value,
            "best_epoch": record.best_epoch,
            "checkpoint": _checkpoint(record) if record.checkpoint else None,
        }
        for record in records
    ]


def _checkpoint(record: RetrainRecord) -> dict[str, Any]:
    assert record.checkpoint is not None
    return record.checkpoint.model_dump()
