"""Step `export_model`: the final model with the best validation score, in Hugging Face layout with a model card."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo import __version__
from evidence_hpo.config.data import ExampleSettings
from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.exports import best_seed, data_description, export_description
from evidence_hpo.evaluation.model_card import model_card
from evidence_hpo.evaluation.models import final_models
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
    manifests: list[Path],
    criteria: Path,
    corpus: Path,
    splits: Path,
    train_examples: list[Path],
    validation_examples: list[Path],
    directory: Path,
) -> None:
    """Write the exported model of one architecture.

    Args:
        settings: How examples were built.
        evaluation: ``evaluation.json``.
        models: Folders of the final models, one a seed.
        records: Their ``record.json``, in the same order.
        manifests: Manifests of the study's encoders.
        criteria: ``criteria.json``.
        corpus: The corpus report.
        splits: ``splits.json``.
        train_examples: Training examples of each task of the architecture, criteria before evidence.
        validation_examples: Validation examples, in the same order.
        directory: Folder to write.
    """
    trained = final_models(models, [read_artefact(path, "retrain_record") for path in records])
    record = best_seed([model.record for model in trained])
    source = next(model.directory for model in trained if model.record is record)
    if digest_file(source / "model.safetensors") != record["checkpoint"]["sha256"]:
        raise DataError(f"{source}: the weights are not those of the run's record; retrain the seed")
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
    log_event("exported", f"{scores['architecture']}: exported seed {record['seed_index']} {how}")


def _digests(architecture: str, examples: list[Path]) -> dict[str, str]:
    """Return the digest of each task's examples."""
    return {task: digest_file(path) for task, path in zip(ARCHITECTURE_TASKS[architecture], examples, strict=True)}


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_step(export_model)
