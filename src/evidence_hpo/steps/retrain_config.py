"""Step `retrain_config`: one selected configuration with one new seed."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.retrain_files import retrain_to_files
from evidence_hpo.search.retraining import absent_record
from evidence_hpo.search.selection import Selected
from evidence_hpo.search.settings import RetrainRunSettings
from evidence_hpo.search.training_inputs import open_training_inputs
from evidence_hpo.search.trial_cache import link_directory
from evidence_hpo.step import run_step
from evidence_hpo.tracking.events import EventListener


def retrain_config(
    settings: RetrainRunSettings,
    selected: Path,
    rank: int,
    seed: int,
    backbones: list[Path],
    manifests: list[Path],
    texts: list[Path],
    examples: list[Path],
    record: Path,
    model: Path,
) -> None:
    """Train a selected configuration again and keep its best weights.

    Args:
        settings: Study, global seed and epochs.
        selected: ``selected.json``.
        rank: Which configuration, from 0. A rank that the search could not fill gives a record with state ``absent``.
        seed: Which seed, from 0.
        backbones: Encoder folders.
        manifests: Their manifests, in the same order.
        texts: Text files of the token caches of the training and validation splits, and of banks.
        examples: Their example files, in the same order.
        record: ``record.json``.
        model: Folder of the weights; empty if there are none.
    """
    plan = Selected.model_validate(read_artefact(selected, "selected"))
    if rank >= len(plan.configurations):
        absent = absent_record(plan, "retrain", rank, seed, settings, len(plan.configurations))
        link_directory(None, model)
        write_artefact(record, "retrain_record", absent.model_dump(mode="json"))
        return
    inputs = open_training_inputs(backbones, manifests, texts, examples)
    retrain_to_files(
        plan, plan.configurations[rank], "retrain", seed, settings, inputs, record, model, listener=EventListener()
    )


if __name__ == "__main__":
    run_step(retrain_config)
