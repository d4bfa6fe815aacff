"""The methods of TextAttack 0.3.11: what each needs beside the library, and why some cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TEXTATTACK_METHODS", "TextAttackMethod"]


@dataclass(frozen=True)
class TextAttackMethod:
    """What a method needs.

    Attributes:
        needs: Resources: ``wordnet`` is prepared by a rule; the others are keys of the section ``augmentation``.
        unusable: Why it cannot be used at all; empty where it can.
    """

    needs: tuple[str, ...] = ()
    unusable: str = ""


def _pickled(what: str) -> TextAttackMethod:
    return TextAttackMethod(unusable=f"it needs {what}, a pickle, and pickles are never loaded")


_NER = _pickled("flair's model of named entities")
_POS = _pickled("flair's model of parts of speech")
_ENCODER = TextAttackMethod(unusable="it needs the Universal Sentence Encoder, which runs in TensorFlow alone")

TEXTATTACK_METHODS: Mapping[str, TextAttackMethod] = {
    # The default ones: bits 0 to 5 of the mask.
    "wordnet": TextAttackMethod(("wordnet",)),
    "synonym_insertion": TextAttackMethod(("wordnet",)),
    "word_deletion": TextAttackMethod(),
    "word_swap": TextAttackMethod(),
    "char_swap": TextAttackMethod(),
    "qwerty": TextAttackMethod(),
    # Usable as they are.
    "easy_data": TextAttackMethod(("wordnet",)),
    "neighbour_char_swap": TextAttackMethod(),
    "char_deletion": TextAttackMethod(),
    "char_insertion": TextAttackMethod(),
    "char_substitution": TextAttackMethod(),
    "change_number": TextAttackMethod(),
    "contract": TextAttackMethod(),
    "extend": TextAttackMethod(),
    "invisible_characters": TextAttackMethod(),
    "invisible_deletions": TextAttackMethod(),
    "invisible_reorderings": TextAttackMethod(),
    # Usable where the resource is named.
    "masked_lm_swap": TextAttackMethod(("masked_lm",)),
    "masked_lm_insertion": TextAttackMethod(("masked_lm",)),
    "embedding": TextAttackMethod(("embedding",)),
    "deepwordbug": TextAttackMethod(("victim",)),
    "pwws": TextAttackMethod(("victim", "wordnet")),
    "iga": TextAttackMethod(("victim", "embedding")),
    # Not usable.
    "masked_lm_merge": _POS,
    "change_name": _NER,
    "change_location": _NER,
    "checklist": _NER,
    "checklist_attack": _NER,
    "inflections": _POS,
    "hownet": _pickled("OpenHowNet's table of synonyms"),
    "clare": _ENCODER,
    "textfooler": _ENCODER,
    "bae": _ENCODER,
    "hotflip": TextAttackMethod(unusable="it needs the tagger of nltk, which this workflow does not prepare"),
    "kuleshov": TextAttackMethod(unusable="it loads GPT-2 by the name that it has on the hub, and jobs stay offline"),
    "back_translation": TextAttackMethod(unusable="it needs two models that translate, for which there is no setting"),
    "back_transcription": TextAttackMethod(unusable="it needs fairseq, which is not in the environment"),
    "homoglyph_swap": TextAttackMethod(unusable="the library is published without the table of characters it reads"),
    "chinese_homophone": TextAttackMethod(unusable="it fails with pandas 3"),
}
"""Methods by name. The order is that of the bits of the family's mask: new ones come last."""
