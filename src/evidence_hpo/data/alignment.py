"""Finds annotated sentences in their posts: exact, then normalised, then fuzzy; spans are offsets in the post's text.

Annotators paraphrase, so most sentences are no substring of their post. The fuzzy search scores runs of one to three
sentences of the post, and the best window of the sentence's own length, by rapidfuzz's normalised Indel similarity
(``ratio``, 0 to 100), with words as written and with words sorted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from rapidfuzz import fuzz, process

from evidence_hpo.data.normalisation import NormalisedText, normalise

__all__ = ["Alignment", "align_annotations", "align_sentence"]

_SENTENCE_END = re.compile(r"(?<=[.!?;:])[\"')\]]*\s+|\s*\n\s*")
_MOST_SENTENCES = 3


@dataclass(frozen=True)
class Alignment:
    """Where a sentence stands in its post.

    Attributes:
        kind: exact, normalised, fuzzy or none.
        start: Offset of the first character in the post's text; None where not aligned.
        end: Offset after the last character.
        score: Similarity, 0 to 100; for kind none the best that was found.
    """

    kind: str
    start: int | None
    end: int | None
    score: float


class _Post:
    """One post, prepared for as long as its sentences are searched."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def normalised(self) -> NormalisedText:
        return normalise(self.text)

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Offsets in the normalised text of all runs of one to three sentences."""
        sentences = _sentences(self.text, self.normalised)
        return [
            (sentences[first][0], sentences[first + more][1])
            for more in range(_MOST_SENTENCES)
            for first in range(len(sentences) - more)
        ]

    @cached_property
    def run_texts(self) -> list[str]:
        return [self.normalised.text[start:end] for start, end in self.runs]

    @cached_property
    def sorted_runs(self) -> list[str]:
        return [_sorted_words(text) for text in self.run_texts]


def align_annotations(posts: pd.DataFrame, annotations: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return ``annotations`` with the columns start, end (Int32), alignment and score.

    Args:
        posts: post_id, text.
        annotations: post_id, sentence_text and any more; each post id is in ``posts``.
        threshold: Least similarity of a fuzzy alignment, 0 to 100.
    """
    texts = dict(zip(posts["post_id"], posts["text"], strict=True))
    found: dict[tuple[str, str], Alignment] = {}
    for post_id, group in annotations.groupby("post_id", sort=True):
        post = _Post(texts[str(post_id)])
        for sentence in group["sentence_text"].unique():
            found[str(post_id), sentence] = _align(post, sentence, threshold)
    pairs = zip(annotations["post_id"], annotations["sentence_text"], strict=True)
    alignments = [found[pair] for pair in pairs]
    return annotations.assign(
        start=pd.array([alignment.start for alignment in alignments], dtype="Int32"),
        end=pd.array([alignment.end for alignment in alignments], dtype="Int32"),
        alignment=[alignment.kind for alignment in alignments],
        score=[alignment.score for alignment in alignments],
    )


def align_sentence(text: str, sentence: str, threshold: float) -> Alignment:
    """Find ``sentence`` in ``text``; the earliest place wins among equals.

    A span never starts or ends within a word, and has no white space at its ends.
    """
    return _align(_Post(text), sentence, threshold)


def _align(post: _Post, sentence: str, threshold: float) -> Alignment:
    stripped = sentence.strip()
    place = _find(post.text, stripped)
    if place is not None:
        return Alignment("exact", *place, 100.0)
    wanted = normalise(stripped).text
    if not wanted:
        return Alignment("none", None, None, 0.0)
    place = _find(post.normalised.text, wanted)
    if place is not None:
        return Alignment("normalised", *post.normalised.original(*place), 100.0)
    start, end, score = _fuzzy(post, wanted)
    if score < threshold:
        return Alignment("none", None, None, score)
    return Alignment("fuzzy", *post.normalised.original(start, end), score)


def _find(text: str, wanted: str) -> tuple[int, int] | None:
    """Return the first place of ``wanted`` that does not cut a word."""
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        if not _cuts_word(text, start) and not _cuts_word(text, end):
            return start, end
        start = text.find(wanted, start + 1)
    return None


def _cuts_word(text: str, offset: int) -> bool:
    if not 0 < offset < len(text):
        return False
    if unicodedata.combining(text[offset]):
        return True
    return text[offset - 1].isalnum() and text[offset].isalnum()


def _fuzzy(post: _Post, wanted: str) -> tuple[int, int, float]:
    """Return the most similar place of the normalised post and its similarity."""
    text = post.normalised.text
    candidates: list[tuple[float, int, int]] = []
    for choices, query in ((post.run_texts, wanted), (post.sorted_runs, _sorted_words(wanted))):
        best = process.extractOne(query, choices, scorer=fuzz.ratio)
        if best is not None:
            _, score, index = best
            candidates.append((float(score), *post.runs[index]))
    if len(wanted) < len(text):
        window = fuzz.partial_ratio_alignment(wanted, text)
        if window is not None and window.dest_end > window.dest_start:
            start, end = _whole_words(text, window.dest_start, window.dest_end)
            candidates.append((float(fuzz.ratio(wanted, text[start:end])), start, end))
    if not candidates:
        return 0, 0, 0.0
    score, start, end = max(candidates, key=lambda candidate: (candidate[0], -candidate[1], -candidate[2]))
    return start, end, score


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span grown to whole words and freed of white space at its ends."""
    while _cuts_word(text, start):
        start -= 1
    while _cuts_word(text, end):
        end += 1
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _sorted_words(text: str) -> str:
    return " ".join(sorted(text.split()))


def _sentences(text: str, normalised: NormalisedText) -> Sequence[tuple[int, int]]:
    """Return the sentences of the original as offsets in the normalised text."""
    marks = [match.end() for match in _SENTENCE_END.finditer(text)]
    spans: list[tuple[int, int]] = []
    position, start = 0, 0
    starts, length = normalised.starts, len(normalised.text)
    for mark in [*marks, len(text) + 1]:
        while position < length and starts[position] < mark:
            position += 1
        first, last = _whole_words(normalised.text, start, position)
        if last > first:
            spans.append((first, last))
        start = position
    return spans
