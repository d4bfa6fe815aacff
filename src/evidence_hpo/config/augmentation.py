"""Section `augmentation`: how banks of augmented evidence sentences are made; a trial's parameters choose from them."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, field_validator

from evidence_hpo.config.base import Section, suggestion
from evidence_hpo.config.textattack import TEXTATTACK_METHODS

__all__ = [
    "FAMILIES",
    "METHODS",
    "STRENGTH_LEVELS",
    "AugmentationSettings",
    "BankSettings",
    "StrengthRange",
    "methods_of_mask",
]

FAMILIES = ("simple", "textattack")

METHODS: dict[str, tuple[str, ...]] = {
    "simple": (
        "random_deletion",
        "random_swap",
        "aeda",
        "character_noise",
        "keyboard_typo",
        "casing",
        "contraction",
    ),
    "textattack": tuple(TEXTATTACK_METHODS),
}
"""Methods of each family. Position ``i`` is bit ``i`` of the family's mask, so the order never changes."""

STRENGTH_LEVELS = 4
"""Strengths of a method: level 0 is the low end of its range, the last level the high end, evenly spaced."""

StrengthRange = tuple[float, float]


def methods_of_mask(family: str, mask: int) -> tuple[str, ...]:
    """Return the methods of ``family`` whose bits are set in ``mask``, in the order of the bits."""
    return tuple(method for bit, method in enumerate(METHODS[family]) if mask >> bit & 1)


def _all_methods() -> Iterable[str]:
    return (method for methods in METHODS.values() for method in methods)


class BankSettings(Section):
    """What one bank depends on.

    Attributes:
        strength: Share of the words that a method changes.
        variants: Variants of each sentence; of a chained bank, one of each variant of its sources.
        parts: Into how many parts the bank is divided.
        max_words: Longer sentences are not varied.
        whole_text: Whether the whole text of an example is its evidence sentence.
        resources: Paths of what the method needs beside its library.
    """

    strength: float = Field(gt=0, le=1)
    variants: int = Field(ge=1, le=16)
    parts: int = Field(ge=1)
    max_words: int = Field(ge=1)
    whole_text: bool
    resources: dict[str, str] = Field({})


class AugmentationSettings(Section):
    """What the banks hold; changing it makes them anew."""

    variants: int = Field(
        4, ge=1, le=16, description="Variants that a bank holds of each sentence; a run may use up to as many."
    )
    parts: int = Field(
        1, ge=1, le=256, description="Into how many jobs a bank is divided; changes no result. Large corpora: more."
    )
    max_words: int = Field(
        60,
        ge=1,
        le=1000,
        description="Longer evidence sentences are left as they are; TextAttack's cost rises steeply with length.",
    )
    strengths: dict[str, StrengthRange] = Field(
        {},
        description=(
            "Range of a method's strength (share of the words or characters that are changed), as wordnet: [0.05, "
            "0.30]; level 0 is its low end, level 3 its high end. Methods that are not named: [0.05, 0.30]."
        ),
    )

    wordnet: str | None = Field(
        None,
        description=(
            "Folder of WordNet 3.0: an nltk_data folder, or WordNet's own dict folder. Without one, nltk downloads it, "
            "or Debian's packages wordnet-base and wordnet-sense-index are used where they are installed."
        ),
    )
    masked_lm: str | None = Field(
        None,
        description=(
            "Folder of a masked language model with its tokeniser (save_pretrained), for masked_lm_swap and "
            "masked_lm_insertion."
        ),
    )
    embedding: str | None = Field(
        None,
        description=(
            "Text file of word vectors, a word and its numbers a line, as counter-fitted-vectors.txt; for the methods "
            "embedding and iga."
        ),
    )
    victim: str | None = Field(
        None,
        description="Folder of a text classifier with its tokeniser, for attacks (deepwordbug, pwws, iga).",
    )

    @field_validator("strengths")
    @classmethod
    def _known_and_ordered(cls, value: dict[str, StrengthRange]) -> dict[str, StrengthRange]:
        known = list(_all_methods())
        for method, (low, high) in value.items():
            if method not in known:
                raise ValueError(f"{method}: no such augmentation method{suggestion(method, known)}")
            if not 0.0 < low < high <= 1.0:
                raise ValueError(f"{method}: [{low:g}, {high:g}] is no range within 0 to 1 with its low end first")
        return value

    def strength(self, method: str, level: int) -> float:
        """Return the strength of a method at a level from 0 to ``STRENGTH_LEVELS - 1``."""
        low, high = self.strengths.get(method, (0.05, 0.30))
        return round(low + (high - low) * level / (STRENGTH_LEVELS - 1), 6)

    def bank(self, method: str, level: int, *, whole_text: bool) -> BankSettings:
        """Return the settings of the banks of a method at a level."""
        return BankSettings(
            strength=self.strength(method, level),
            variants=self.variants,
            parts=self.parts,
            max_words=self.max_words,
            whole_text=whole_text,
            resources=self.resources(method),
        )

    def resources(self, method: str) -> dict[str, str]:
        """Return the paths of what a method needs, as far as they are configured; WordNet is prepared by a rule."""
        wanted = TEXTATTACK_METHODS[method].needs if method in TEXTATTACK_METHODS else ()
        given = {name: getattr(self, name) for name in wanted if name != "wordnet"}
        return {name: path for name, path in given.items() if path is not None}
