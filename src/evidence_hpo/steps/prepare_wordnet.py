"""Make the nltk_data folder that TextAttack reads: WordNet and stop words."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.augmentation.wordnet import prepare_nltk_data
from evidence_hpo.logs import log_event
from evidence_hpo.step import run_step


def prepare_wordnet(*, wordnet: list[Path], output: Path) -> None:
    """Gather WordNet and the stop words.

    Args:
        wordnet: The configured folder of WordNet, if there is one.
        output: Output; an nltk_data folder.

    Raises:
        DataError: WordNet is nowhere to be had.
    """
    manifest = prepare_nltk_data(output, wordnet[0] if wordnet else None)
    sources = {name: part["source"] for name, part in manifest.items()}
    log_event("nltk_data", f"WordNet: {sources['wordnet']}; stop words: {sources['stop_words']}", **sources)


if __name__ == "__main__":
    run_step(prepare_wordnet)
