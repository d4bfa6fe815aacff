"""Make one part of a bank of variants by a method of TextAttack; runs in TextAttack's own environment."""

from __future__ import annotations

import platform
from pathlib import Path

from evidence_hpo import __version__
from evidence_hpo.augmentation.banks import BankName
from evidence_hpo.augmentation.making import make_bank
from evidence_hpo.augmentation.textattack import TextAttackFamily, textattack_versions
from evidence_hpo.augmentation.wordnet import MANIFEST
from evidence_hpo.config.augmentation import BankSettings
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step


def augment_with_textattack(
    *,
    settings: BankSettings,
    task: str,
    source: str,
    method: str,
    level: int,
    part: int,
    examples: Path,
    sources: list[Path],
    nltk_data: Path,
    output: Path,
    record: Path,
) -> None:
    """Vary the evidence sentences of the training examples, or their variants by the simple family.

    Args:
        settings: Strength, number of variants and parts, limits, resources.
        task: ``criteria`` or ``evidence``.
        source: ``original`` or ``simple``.
        method: A method of TextAttack.
        level: Level of its strength.
        part: Which part of the items.
        examples: Parquet file of training examples.
        sources: Banks whose variants are varied once more.
        nltk_data: Folder made by ``prepare_wordnet``.
        output: Output; the bank.
        record: Output; counts and time.

    Raises:
        ConfigurationError: The method is unknown or cannot be used, or the process has a random hash seed.
        DataError: An input is missing or invalid.
    """
    corpora = read_artefact(nltk_data / MANIFEST, "nltk_data")
    varying = TextAttackFamily(nltk_data).method(method, settings.resources)
    digests = {name: part["digest"] for name, part in corpora.items()}
    make_bank(
        BankName(task, source, method, level, settings.strength),
        settings,
        part,
        varying,
        versions={
            "evidence-hpo": __version__,
            "python": platform.python_version(),
            **textattack_versions(),
            **digests,
        },
        examples=examples,
        sources=sources,
        output=output,
        record=record,
    )


if __name__ == "__main__":
    run_step(augment_with_textattack)
