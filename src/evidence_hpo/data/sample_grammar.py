"""Sentences of the synthetic sample corpus: constructions in which word order, not the words, decides the status.

A *construction* is a list of pairs of templates with the same words: the first of a pair says that the writer has the
symptom, the second says that the writer does not (another person has it, it is over, denied,
supposed or reported).
`{P}` is a phrase of the symptom, `{Q}` a phrase of its absence. Only the *direct* sentences differ in their words.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evidence_hpo.data import sample_lexicon as lexicon

__all__ = ["CONSTRUCTIONS", "Construction", "Draw", "Frame", "draw_frame", "neutral_sentence"]

T = TypeVar("T")


class Draw:
    """Random choices from `random.random` alone: the only method whose stream Python guarantees between versions."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return self._random.random() < probability

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.between(0, len(items) - 1)]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """One of the keys, in proportion to its weight."""
        point = self._random.random() * sum(weights.values())
        for key, weight in weights.items():
            point -= weight
            if point < 0:
                return key
        return key

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in random order."""
        pool = list(items)
        return [pool.pop(self.between(0, len(pool) - 1)) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Construction:
    """A way to say that a symptom is there (first template of a pair) or not (second template)."""

    name: str
    tense: str
    weight: float
    pairs: tuple[tuple[str, str], ...]


def _swapped(*templates: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a template with `{P}` and `{Q}`, and the same template with the two exchanged."""
    return tuple(
        (template, template.replace("{P}", "{*}").replace("{Q}", "{P}").replace("{*}", "{Q}")) for template in templates
    )


CONSTRUCTIONS: tuple[Construction, ...] = (
    Construction(
        "direct",
        "base",
        0.55,
        (
            ("{time} I {P}.", "{time} I {Q}."),
            ("I {P}, {filler}.", "I {Q}, {filler}."),
            ("{filler}, I {P} {time}.", "{filler}, I {Q} {time}."),
            ("{person} knows that I {P}.", "{person} knows that I {Q}."),
            ("{time} I {P}.", "{time} {person} {P3}."),
            ("I told {person} that I {P}.", "I told {person} that I never {P}."),
        ),
    ),
    Construction(
        "other person",
        "past",
        0.12,
        _swapped(
            "{time} I {P}, while {person} {Q}.",
            "{time} {person} {Q}, while I {P}.",
            "I {P}, {filler}, but {person} {Q}.",
            "{person} {Q}, {filler}, but I {P}.",
        ),
    ),
    Construction(
        "past or now",
        "base",
        0.10,
        _swapped(
            "I used to {Q}, but these days I {P}.",
            "these days I {P}, although I used to {Q}.",
            "years ago I would {Q}, now I {P}.",
        ),
    ),
    Construction(
        "reported",
        "base",
        0.07,
        _swapped(
            "{person} believes that I {Q}, but in truth I {P}.",
            "in truth I {P}, even if {person} believes that I {Q}.",
            "to {person} I say that I {Q}, but in truth I {P}.",
        ),
    ),
    Construction(
        "supposed",
        "base",
        0.06,
        _swapped(
            "without {reason} I would {Q}, but as things are I {P}.",
            "as things are I {P}, but without {reason} I would {Q}.",
        ),
    ),
    Construction(
        "negated",
        "base",
        0.10,
        (
            *_swapped("I do not {Q}, {filler}, I {P}.", "I {P}, {filler}, I do not {Q}."),
            (
                "the problem is not, {filler}, {reason}; the problem is, {filler}, that I {P}.",
                "the problem is, {filler}, {reason}; the problem is not, {filler}, that I {P}.",
            ),
        ),
    ),
)


def inflect(phrase: str, tense: str) -> str:
    """A phrase of the lexicon in a tense: `base`, `third` (person singular) or `past`."""
    words = []
    for word in phrase.split():
        if word.startswith("*"):
            third, past = lexicon.VERBS[word[1:]]
            word = {"base": word[1:], "third": third, "past": past}[tense]
        words.append(word)
    return " ".join(words)


def finish(text: str) -> str:
    """The sentence with a capital letter at its beginning."""
    return text[0].upper() + text[1:]


@dataclass(frozen=True, slots=True)
class Frame:
    """A construction with all its slots filled: only the status is open."""

    construction: str
    positive: str
    negative: str

    def sentence(self, status: int) -> str:
        """The sentence that says that the symptom is there (1) or not (0)."""
        return self.positive if status else self.negative


def _dressed(draw: Draw, phrase: str) -> str:
    """A phrase with an adverb before it and a tail behind it, mostly.

    The same adverbs and tails go with every phrase, so that pairs of neighbouring words do not betray the status.
    """
    before = f"{draw.pick(lexicon.ADVERBS)} " if draw.chance(0.65) else ""
    after = f" {draw.pick(lexicon.TAILS)}" if draw.chance(0.4) else ""
    return f"{before}{phrase}{after}"


def _slots(draw: Draw) -> dict[str, str]:
    return {
        "time": draw.pick(lexicon.TIMES),
        "filler": draw.pick(lexicon.FILLERS),
        "person": draw.pick(lexicon.PERSONS),
        "reason": draw.pick(lexicon.REASONS),
    }


def draw_frame(draw: Draw, criterion: str, used: set[str], construction: str | None = None) -> Frame:
    """A frame for a criterion that avoids the phrases in `used`, and adds its own to them."""
    chosen = draw.weighted({c: c.weight for c in CONSTRUCTIONS if construction in (None, c.name)})
    positive, negative = draw.pick(chosen.pairs)
    symptom, health = (_unused(draw, phrases, used) for phrases in lexicon.PHRASES[criterion])
    dressed = _dressed(draw, symptom), _dressed(draw, health)
    slots = _slots(draw) | {
        "P": inflect(dressed[0], chosen.tense),
        "P3": inflect(dressed[0], "third"),
        "Q": inflect(dressed[1], chosen.tense),
    }
    return Frame(chosen.name, finish(positive.format(**slots)), finish(negative.format(**slots)))


def _unused(draw: Draw, phrases: Sequence[str], used: set[str]) -> str:
    phrase = draw.pick([p for p in phrases if p not in used])
    used.add(phrase)
    return phrase


def neutral_sentence(draw: Draw) -> str:
    """A sentence of everyday life that says nothing about any criterion."""
    slots = {name: draw.pick(values) for name, values in lexicon.NEUTRAL_SLOTS.items()}
    return finish(draw.pick(lexicon.NEUTRAL).format(**slots))
