"""Step `export_model`: the refit, or else the final model with the best validation score, with a model card."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo import __version__
from evidence_hpo.config.data import ExampleSettings
from evidence_hpo.evaluation.exports import data_description, export_description
from evidence_hpo.evaluation.model_card import model_card
from evidence_hpo.evaluation.models import best_seed, check_weights, final_models, refits_of
from evidence_hpo.files import atomic_directory, digest_file, write_text
from evidence_hpo.logs import log_event
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.models.hf_layout import DESCRIPTION, write_model
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step
from evidence_hpo.training.inference import MAX_ANSWER_TOKENS
from evidence_hpo.training.prediction import load_model


def export_model(
    *,
    settings: ExampleSettings,
    evaluation: Path,
    models: list[Path],
    records: list[Path],
    refit_models: list[Path],
    refit_records: list[Path],
    manifests: list[Path],
    criteria: Path,
    corpus: Path,
    splits: Path,
    train_examples: list[Path],
    validation_examples: list[Path],
    directory: Path,
) -> None:
    """Write the exported model of one architecture in Hugging Face layout.

    Args:
        settings: How examples were built.
        evaluation: ``evaluation.json``.
        models: Folders of the final models, one a seed.
        records: Their ``record.json``, in the same order.
        refit_models: Folders of the refits, one a seed; the first is exported. None: the best final model is.
        refit_records: Their ``record.json``, in the same order.
        manifests: Manifests of the study's encoders.
        criteria: ``criteria.json``.
        corpus: The corpus report.
        splits: ``splits.json``.
        train_examples: Training examples of each task of the architecture, criteria before evidence.
        validation_examples: Validation examples, in the same order.
        directory: Folder to write.
    """
    trained = final_models(models, [read_artefact(path, "retrain_record") for path in records])
    refits = refits_of(refit_models, [read_artefact(path, "retrain_record") for path in refit_records], trained)
    exported = refits[0] if refits else best_seed(trained)
    check_weights(exported)
    source, record = exported.directory, exported.record
    loaded, scores = load_model(source), read_artefact(evaluation, "evaluation")
    examples = {
        "train": _digests(loaded.spec.architecture, train_examples),
        "validation": _digests(loaded.spec.architecture, validation_examples),
    }
    report, frozen = read_artefact(corpus, "corpus_report"), read_artefact(splits, "splits")
    data = data_description(report, frozen, examples, settings.criteria.unit)
    backbones = [read_artefact(path, "backbone") for path in manifests]
    known = read_artefact(criteria, "criteria")
    with atomic_directory(directory) as temporary:
        written = write_model(loaded.model, loaded.spec.architecture, loaded.spec.parameters, source, temporary)
        files = {path.relative_to(temporary).as_posix(): digest_file(path) for path in _files(temporary)}
        description = export_description(
            record, scores, backbones, known, data, written, files, max_answer_tokens=MAX_ANSWER_TOKENS
        )
        write_artefact(temporary / DESCRIPTION, "export", description)
        card = model_card(description, scores, seconds=record["duration_seconds"], package_version=__version__)
        write_text(temporary / "README.md", card)
    how = f"as {written}" if written else "as encoder and heads, which this package loads"
    log_event("exported", f"{scores['architecture']}: exported {record['role']} seed {record['seed_index']} {how}")


def _digests(architecture: str, examples: list[Path]) -> dict[str, str]:
    """Return the digest of each task's examples."""
    return {task: digest_file(path) for task, path in zip(ARCHITECTURE_TASKS[architecture], examples, strict=True)}


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_step(export_model)
