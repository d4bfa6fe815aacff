"""Step `train_model`: one run outside the search, with its scores on the validation split."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.resolved import render_resolved
from evidence_hpo.evaluation.evaluation_plots import run_confusion_figure
from evidence_hpo.evaluation.figures import write_png
from evidence_hpo.evaluation.run_report import classification_report
from evidence_hpo.files import write_text
from evidence_hpo.schemas import write_artefact
from evidence_hpo.search.resume_points import work_folder
from evidence_hpo.search.settings import SingleRunSettings
from evidence_hpo.search.single_runs import train_single
from evidence_hpo.search.training_inputs import open_training_inputs
from evidence_hpo.step import run_step
from evidence_hpo.tracking.events import EventListener
from evidence_hpo.training.prediction import load_model, predict


def train_model(
    *,
    settings: SingleRunSettings,
    run: str,
    backbones: list[Path],
    manifests: list[Path],
    texts: list[Path],
    examples: list[Path],
    record: Path,
    model: Path,
    report: Path,
    confusion: Path,
    resolved: Configuration,
    configuration: Path,
) -> None:
    """Train one run, keep its best weights, and score them on the validation split.

    Args:
        settings: What is trained.
        run: Name of the run.
        backbones: The encoder's folder.
        manifests: Its manifest.
        texts: Text files of the token caches of the training and validation splits, and of banks.
        examples: Their example files, in the same order.
        record: ``record.json``.
        model: Folder of the weights.
        report: ``classification_report.json``.
        confusion: PNG file of the confusion matrices.
        resolved: The whole configuration, which is kept beside the run.
        configuration: ``config.yaml``.
    """
    inputs = open_training_inputs(backbones, manifests, texts, examples)
    written = train_single(run, settings, inputs, work_folder(run), model, EventListener())
    data = inputs.of_run(settings.parameters, settings.architecture)
    scored = classification_report(predict(load_model(model), data.validation, settings.runtime))
    write_artefact(report, "run_report", scored)
    write_png(run_confusion_figure(scored), confusion)
    write_text(configuration, render_resolved(resolved))
    write_artefact(record, "retrain_record", written.model_dump(mode="json"))


if __name__ == "__main__":
    run_step(train_model)
