"""Step `refit_chosen`: the chosen configuration trained on the training and validation posts together."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.schemas import read_artefact
from evidence_hpo.search.choosing import Chosen
from evidence_hpo.search.retrain_files import retrain_to_files
from evidence_hpo.search.settings import RetrainRunSettings
from evidence_hpo.search.training_inputs import open_training_inputs
from evidence_hpo.step import run_step
from evidence_hpo.tracking.events import EventListener


def refit_chosen(
    settings: RetrainRunSettings,
    chosen: Path,
    seed: int,
    backbones: list[Path],
    manifests: list[Path],
    texts: list[Path],
    examples: list[Path],
    record: Path,
    model: Path,
) -> None:
    """Train the chosen configuration on training and validation posts together; keep its last weights.

    Args:
        settings: Study, global seed and epochs.
        chosen: ``chosen.json``.
        seed: Which seed, from 0.
        backbones: Encoder folders.
        manifests: Their manifests, in the same order.
        texts: Text files of the token caches of the training and validation splits, and of banks.
        examples: Their example files, in the same order.
        record: ``record.json``.
        model: Folder of the weights; empty if the run fails.
    """
    plan = Chosen.model_validate(read_artefact(chosen, "chosen"))
    inputs = open_training_inputs(backbones, manifests, texts, examples)
    retrain_to_files(
        plan,
        plan.configuration,
        "refit",
        seed,
        settings,
        inputs,
        record,
        model,
        refit_epochs=plan.refit_epochs,
        listener=EventListener(),
    )


if __name__ == "__main__":
    run_step(refit_chosen)
