"""Word vectors from a text file: a word and its numbers a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evidence_hpo.errors import DataError

__all__ = ["Neighbours", "read_vectors"]


class Neighbours:
    """The nearest words of a word, found when they are first asked for: TextAttack's own search fails.

    Args:
        matrix: Vectors of all words, [words, dimensions].
        most: Number of neighbours.
    """

    def __init__(self, matrix: NDArray[np.float32], most: int) -> None:
        self._matrix = matrix
        self._most = min(most, len(matrix) - 1)
        self._found: dict[int, list[int]] = {}

    def __getitem__(self, word: int) -> list[int]:
        """Return the word itself and then its neighbours, the nearest first; of equally near ones the first word."""
        if word not in self._found:
            distances = np.linalg.norm(self._matrix - self._matrix[word], axis=1)
            distances[word] = -1.0
            self._found[word] = np.argsort(distances, kind="stable")[: self._most + 1].tolist()
        return self._found[word]


def read_vectors(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Read word vectors as GloVe and counter-fitted vectors are published; a first line of two counts is skipped.

    Returns:
        The words, and their vectors, [words, dimensions].

    Raises:
        DataError: The file is missing, or a line is no word with as many numbers as the first.
    """
    words: list[str] = []
    rows: list[Any] = []
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, *numbers = line.rstrip().split(" ")
                if number == 1 and len(numbers) == 1:
                    continue
                row = np.array(numbers, dtype=np.float32)
                if not word or not row.size or (rows and row.size != rows[0].size):
                    raise ValueError
                words.append(word)
                rows.append(row)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: line {max(1, number)} is no word with the numbers of its vector") from error
    if len(words) < 2:
        raise DataError(f"{path}: holds {len(words)} vectors; at least two are needed")
    return words, np.stack(rows)
