"""Contract and expand: "do not" and "don't" say the same."""

from __future__ import annotations

import re
from random import Random

__all__ = ["vary_contractions"]

# Long form, short form. Both directions, for the short form has one meaning only.
_BOTH_WAYS = {
    "i am": "i'm",
    "you are": "you're",
    "we are": "we're",
    "they are": "they're",
    **{f"{who} have": f"{who}'ve" for who in ("i", "you", "we", "they")},
    **{f"{who} will": f"{who}'ll" for who in ("i", "you", "he", "she", "it", "we", "they")},
    **{
        f"{verb} not": f"{verb}n't"
        for verb in (
            *("are", "could", "did", "does", "do", "had", "has", "have", "is", "might", "must", "need", "should"),
            *("was", "were", "would"),
        )
    },
    "cannot": "can't",
    "will not": "won't",
}
# Contracted only: 's may also be "has" or a possessive, 'd may be "had" or "would".
_CONTRACTED_ONLY = {
    **{f"{who} is": f"{who}'s" for who in ("he", "she", "it", "that", "there", "what", "who", "where")},
    **{f"{who} would": f"{who}'d" for who in ("i", "you", "he", "she", "we", "they")},
    "can not": "can't",
}
_SHORT = {**_BOTH_WAYS, **_CONTRACTED_ONLY}
_LONG = {short: long for long, short in _BOTH_WAYS.items()}
_APOSTROPHES = "'\u2019\u02bc"


def _pattern() -> re.Pattern[str]:
    long = [form.replace(" ", r"\s+") for form in sorted(_SHORT, key=len, reverse=True)]
    short = [form.replace("'", f"[{_APOSTROPHES}]") for form in sorted(_LONG, key=len, reverse=True)]
    # "that is how it is" must not end in "it's": what is contracted needs a word after it.
    edge = rf"(?<![\w{_APOSTROPHES}])"
    forms = rf"(?P<long>{'|'.join(long)})(?=\s+\w)|(?P<short>{'|'.join(short)})"
    return re.compile(rf"{edge}(?:{forms})(?![\w{_APOSTROPHES}])", re.IGNORECASE)


_FORM = _pattern()


def vary_contractions(sentence: str, strength: float, random: Random) -> str:
    """Contract long forms and expand short ones, at a share of the places where there is one, at least one.

    The case of the first letter and the kind of apostrophe stay; a new apostrophe is the plain one, or the curly one
    where the sentence has that alone.
    """
    found = list(_FORM.finditer(sentence))
    number = min(max(1, round(strength * len(found))), len(found))
    curly = "\u2019" in sentence and "'" not in sentence
    for index in sorted(random.sample(range(len(found)), number), reverse=True):
        match = found[index]
        own = " ".join(re.sub(f"[{_APOSTROPHES}]", "'", match.group().lower()).split())
        other = _SHORT[own] if match["long"] else _LONG[own]
        if curly:
            other = other.replace("'", "\u2019")
        if match.group().isupper():
            other = other.upper()
        elif match.group()[0].isupper():
            other = other[0].upper() + other[1:]
        sentence = sentence[: match.start()] + other + sentence[match.end() :]
    return sentence
