"""The special tokens around and between the two sequences of an input, as the tokeniser itself lays them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from evidence_hpo.errors import DataError

__all__ = ["PairTemplate", "template_of_pair"]


@dataclasses.dataclass(frozen=True)
class PairTemplate:
    """Layout ``prefix A middle B suffix`` of an input, where A is the criterion and B the text.

    Attributes:
        prefix: Ids before A; the first is the classification token, the null position of a span.
        middle: Ids between A and B.
        suffix: Ids after B.
        prefix_types: Token type of each id of ``prefix``.
        middle_types: Token type of each id of ``middle``.
        suffix_types: Token type of each id of ``suffix``.
        first_type: Token type of A.
        second_type: Token type of B.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    prefix_types: tuple[int, ...]
    middle_types: tuple[int, ...]
    suffix_types: tuple[int, ...]
    first_type: int
    second_type: int

    @property
    def size(self) -> int:
        """Number of special tokens of an input."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def to_dict(self) -> dict[str, Any]:
        """Return the template as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> PairTemplate:
        """Return the template that :meth:`to_dict` described."""
        parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
        return cls(**parts)


def template_of_pair(
    ids: Sequence[int], sequences: Sequence[int | None], types: Sequence[int], *, typed: bool
) -> PairTemplate:
    """Read the template off an encoded pair of two non-empty texts.

    Args:
        ids: Token ids of the encoded pair.
        sequences: For each token 0 (first text), 1 (second text) or None (special token).
        types: Token type of each token.
        typed: Whether the model uses token types; where it does not, all types are 0.

    Raises:
        DataError: The input does not start with a special token, or the parts are not in the order A, B.
    """
    order = [sequence for sequence in sequences if sequence is not None]
    if not order or sequences[0] is not None or order != sorted(order) or set(order) != {0, 1}:
        raise DataError(
            "the tokeniser's pair template is not '[CLS] first [SEP] second': this kind of encoder is not supported"
        )
    first, second = sequences.index(0), sequences.index(1)
    last_first = max(index for index, sequence in enumerate(sequences) if sequence == 0)
    last_second = max(index for index, sequence in enumerate(sequences) if sequence == 1)
    kinds = [kind if typed else 0 for kind in types]
    return PairTemplate(
        prefix=tuple(ids[:first]),
        middle=tuple(ids[last_first + 1 : second]),
        suffix=tuple(ids[last_second + 1 :]),
        prefix_types=tuple(kinds[:first]),
        middle_types=tuple(kinds[last_first + 1 : second]),
        suffix_types=tuple(kinds[last_second + 1 :]),
        first_type=kinds[first],
        second_type=kinds[second],
    )
