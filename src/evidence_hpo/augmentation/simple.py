"""The simple family: methods of a few lines that need nothing but the sentence.

Words are what white space separates, and the white space of the sentence stays as it is. The share of words that a
method changes is its strength, rounded, and at least one word. Negations are never chosen: a variant without them would
be rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from evidence_hpo.augmentation.contractions import vary_contractions
from evidence_hpo.augmentation.negation import has_negation
from evidence_hpo.config.augmentation import METHODS
from evidence_hpo.config.base import suggestion
from evidence_hpo.errors import ConfigurationError

__all__ = ["SimpleMethod", "simple_method"]

_WORD = re.compile(r"\S+")
_PUNCTUATION = (".", ";", "?", ":", "!", ",")


class _Words:
    """The words of a sentence, and the white space around them."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._spans = [match.span() for match in _WORD.finditer(sentence)]
        self.texts = [sentence[start:end] for start, end in self._spans]
        self.free = [index for index, word in enumerate(self.texts) if not has_negation(word)]

    def number(self, strength: float) -> int:
        return max(1, round(strength * len(self.texts)))

    def joined(self, words: Sequence[str | None]) -> str:
        """Return the sentence with other words in the places of its own; None leaves a place out."""
        pieces: list[str] = []
        for index, word in enumerate(words):
            if word is None:
                continue
            if pieces:
                pieces.append(self._sentence[self._spans[index - 1][1] : self._spans[index][0]])
            pieces.append(word)
        if not self._spans:
            return self._sentence
        return self._sentence[: self._spans[0][0]] + "".join(pieces) + self._sentence[self._spans[-1][1] :]


def _random_deletion(sentence: str, strength: float, random: Random) -> str:
    """Delete words, never all (Wei & Zou 2019, "EDA"; here a fixed number, as in EDA's other operations)."""
    words = _Words(sentence)
    number = min(words.number(strength), len(words.free), len(words.texts) - 1)
    gone = set(random.sample(words.free, max(0, number)))
    return words.joined([None if index in gone else word for index, word in enumerate(words.texts)])


def _random_swap(sentence: str, strength: float, random: Random) -> str:
    """Exchange two words, as often as words are to be changed (Wei & Zou 2019, "EDA")."""
    words = _Words(sentence)
    texts = list(words.texts)
    if len(words.free) > 1:
        for _ in range(words.number(strength)):
            first, second = random.sample(words.free, 2)
            texts[first], texts[second] = texts[second], texts[first]
    return words.joined(texts)


def _aeda(sentence: str, strength: float, random: Random) -> str:
    """Insert punctuation marks before words (Karimi et al. 2021, "AEDA: An Easier Data Augmentation Technique")."""
    words = _Words(sentence)
    number = min(words.number(strength), len(words.texts))
    places = set(random.sample(range(len(words.texts)), number))
    return words.joined(
        [f"{random.choice(_PUNCTUATION)} {word}" if index in places else word for index, word in enumerate(words.texts)]
    )


def _change_words(
    sentence: str, strength: float, random: Random, fits: Callable[[str], bool], change: Callable[[str], str]
) -> str:
    """Replace some of the words that ``fits`` accepts by what ``change`` makes of them."""
    words = _Words(sentence)
    fitting = [index for index in words.free if fits(words.texts[index])]
    chosen = set(random.sample(fitting, min(words.number(strength), len(fitting))))
    return words.joined([change(word) if index in chosen else word for index, word in enumerate(words.texts)])


def _character_noise(sentence: str, strength: float, random: Random) -> str:
    """Exchange, delete, insert or replace one letter of words (Belinkov & Bisk 2018).

    New letters are drawn from those of the sentence, so its script stays.
    """
    alphabet = sorted({letter for letter in sentence if letter.isalpha()})

    def change(word: str) -> str:
        letters = [index for index, letter in enumerate(word) if letter.isalpha()]
        place = random.choice(letters)
        kind = random.randrange(4)
        if kind == 0 and place + 1 < len(word):
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        if kind == 1:
            return word[:place] + word[place + 1 :]
        if kind == 2:
            return word[:place] + random.choice(alphabet) + word[place:]
        return word[:place] + random.choice(alphabet) + word[place + 1 :]

    return _change_words(sentence, strength, random, lambda word: sum(map(str.isalpha, word)) > 1, change)


def _keys_around() -> dict[str, str]:
    """Return the letters whose keys touch that of each letter on a QWERTY keyboard."""
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    around = {}
    for number, row in enumerate(rows):
        for index, letter in enumerate(row):
            # A row stands half a key to the right of the one above it.
            touching = [(number, index - 1), (number, index + 1), (number - 1, index), (number - 1, index + 1)]
            touching += [(number + 1, index - 1), (number + 1, index)]
            near = "".join(rows[r][i] for r, i in touching if 0 <= r < 3 and 0 <= i < len(rows[r]))
            around[letter] = near
            around[letter.upper()] = near.upper()
    return around


_KEYS_AROUND = _keys_around()


def _keyboard_typo(sentence: str, strength: float, random: Random) -> str:
    """Replace one letter of words by one whose key is beside its own on a QWERTY keyboard."""

    def change(word: str) -> str:
        place = random.choice([index for index, letter in enumerate(word) if letter in _KEYS_AROUND])
        return word[:place] + random.choice(_KEYS_AROUND[word[place]]) + word[place + 1 :]

    return _change_words(
        sentence, strength, random, lambda word: any(letter in _KEYS_AROUND for letter in word), change
    )


def _recased(word: str) -> list[str]:
    return [other for other in (word.lower(), word.upper(), word.capitalize()) if other != word]


def _casing(sentence: str, strength: float, random: Random) -> str:
    """Write words in another case: lower, upper or capitalised."""
    return _change_words(
        sentence,
        strength,
        random,
        lambda word: bool(_recased(word)),
        lambda word: random.choice(_recased(word)),
    )


_FUNCTIONS: dict[str, Callable[[str, float, Random], str]] = {
    "random_deletion": _random_deletion,
    "random_swap": _random_swap,
    "aeda": _aeda,
    "character_noise": _character_noise,
    "keyboard_typo": _keyboard_typo,
    "casing": _casing,
    "contraction": vary_contractions,
}


@dataclass(frozen=True)
class SimpleMethod:
    """A method of the simple family; see :class:`evidence_hpo.augmentation.methods.Method`."""

    name: str

    def vary(self, sentence: str, strength: float, seed: int) -> str:
        """Return a variant of ``sentence``."""
        return _FUNCTIONS[self.name](sentence, strength, Random(seed))


def simple_method(name: str) -> SimpleMethod:
    """Return a method of the simple family.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if name not in METHODS["simple"]:
        known = METHODS["simple"]
        raise ConfigurationError(f"--method: no simple augmentation method '{name}'{suggestion(name, known)}")
    return SimpleMethod(name)
