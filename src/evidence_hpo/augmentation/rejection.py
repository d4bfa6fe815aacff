"""Which variants are no use, and why."""

from __future__ import annotations

import unicodedata

from evidence_hpo.augmentation.negation import count_negations

__all__ = ["REASONS", "Judge"]

REASONS = ("too_long", "no_source", "error", "empty", "unchanged", "negation", "duplicate")
"""Why a row of a bank has no text.

- too_long: the sentence has more words than ``augmentation.max_words``.
- no_source: of a chained bank: the variant that was to be varied once more was itself rejected.
- error: the method raised, or gave what cannot be stored as text.
- empty: nothing but white space.
- unchanged: the sentence or its source again.
- negation: a negation was lost or gained.
- duplicate: another variant of this item in this bank is the same.
"""


class Judge:
    """Judges the variants of one item, in order.

    Two texts are the same if they differ at most in white space and in how Unicode composes its characters; a change of
    case is a change.
    """

    def __init__(self, sentence: str) -> None:
        self._own = _key(sentence)
        self._negations = count_negations(sentence)
        self._seen: set[str] = set()

    def reason_against(self, variant: str, source: str) -> str | None:
        """Return why ``variant``, made from ``source``, is rejected; None if it is not, and then it counts as seen."""
        key = _key(variant)
        if not key:
            return "empty"
        if key in (self._own, _key(source)):
            return "unchanged"
        if count_negations(variant) != self._negations:
            return "negation"
        if key in self._seen:
            return "duplicate"
        self._seen.add(key)
        return None


def _key(text: str) -> str:
    composed = text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(composed.split())
