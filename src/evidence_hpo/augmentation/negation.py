"""Negations of English: a variant that loses or gains one says something else."""

from __future__ import annotations

import re

__all__ = ["count_negations", "has_negation"]

# Function words, the contractions people write without their apostrophe, and the triggers of NegEx (Chapman et al.
# 2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries") that are one word.
_WORDS = (
    "no|not|nor|none|nobody|noone|nothing|nowhere|neither|never|cannot|without|hardly|barely|scarcely|"
    "rarely|seldom|nope|nah|lack|lacks|lacked|lacking|deny|denies|denied|denying|absent|absence|unable|"
    "aint|arent|cant|couldnt|didnt|doesnt|dont|hadnt|hasnt|havent|isnt|mightnt|mustnt|neednt|oughtnt|"
    "shant|shouldnt|wasnt|werent|wont|wouldnt"
)

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032\uff07\u00b4`", "'"))
# A word may end in n't ("haven't", also "n't" alone, as tokenisers cut it); within a word nothing counts ("knot").
_NEGATION = re.compile(rf"(?<!\w)(?:(?:[^\W\d_]*n't)|{_WORDS})(?!\w)", re.IGNORECASE)


def count_negations(text: str) -> int:
    """Return how many negations a text holds; "can't", "cant", "cannot" and "can not" are one each."""
    return len(_NEGATION.findall(text.translate(_APOSTROPHES)))


def has_negation(text: str) -> bool:
    """Return whether a text holds a negation."""
    return _NEGATION.search(text.translate(_APOSTROPHES)) is not None
