"""Make one part of a bank of variants by a method of the simple family."""

from __future__ import annotations

import platform
from pathlib import Path

from evidence_hpo import __version__
from evidence_hpo.augmentation.banks import BankName
from evidence_hpo.augmentation.making import make_bank
from evidence_hpo.augmentation.simple import simple_method
from evidence_hpo.config.augmentation import BankSettings
from evidence_hpo.step import run_step


def augment_examples(
    *,
    settings: BankSettings,
    task: str,
    source: str,
    method: str,
    level: int,
    part: int,
    examples: Path,
    sources: list[Path],
    output: Path,
    record: Path,
) -> None:
    """Vary the evidence sentences of the training examples, or their variants by the other family.

    Args:
        settings: Strength, number of variants and parts, limits.
        task: ``criteria`` or ``evidence``.
        source: ``original`` or ``textattack``.
        method: A method of the simple family.
        level: Level of its strength.
        part: Which part of the items.
        examples: Parquet file of training examples.
        sources: Banks whose variants are varied once more.
        output: Output; the bank.
        record: Output; counts and time.

    Raises:
        ConfigurationError: The method is unknown.
        DataError: An input is missing or invalid.
    """
    make_bank(
        BankName(task, source, method, level, settings.strength),
        settings,
        part,
        simple_method(method),
        versions={"evidence-hpo": __version__, "python": platform.python_version()},
        examples=examples,
        sources=sources,
        output=output,
        record=record,
    )


if __name__ == "__main__":
    run_step(augment_examples)
