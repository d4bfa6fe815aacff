"""The bundled sample corpus: SYNTHETIC posts in the two-table layout of ReDSM5, written for this project.

No sentence comes from a real person or a real corpus. The corpus is there so that the whole pipeline can be tried in
minutes without a gated data set; a score on it says nothing about clinical use. It is made so that the words of a
sentence hardly tell its status and their order does (see `sample_grammar`), so that a bag of words is a floor that a
trained encoder can clear.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from evidence_hpo.data import sample_lexicon as lexicon
from evidence_hpo.data.sample_grammar import Draw, draw_frame, neutral_sentence

__all__ = ["ANNOTATION_COLUMNS", "POST_COLUMNS", "generate_corpus"]

POST_COLUMNS = ("post_id", "text")
ANNOTATION_COLUMNS = ("post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status", "explanation")

_WITHOUT_SYMPTOM = 0.20
_LONG = 0.012
_NEUTRAL = (1, 3)
_NEUTRAL_LONG = (54, 64)
_ANNOTATIONS = {1: 0.5, 2: 0.5}
_POSITIVE = 0.52
_OPPOSITE = 0.75
_PARAPHRASED = 0.34

# Changes that an annotator might make when copying a sentence; none changes its meaning or its order.
_PARAPHRASES: tuple[tuple[str, str], ...] = (
    ("do not", "don't"),
    ("is not", "isn't"),
    ("these days", "nowadays"),
    ("although", "though"),
    ("often ", ""),
    ("really ", ""),
    ("simply ", ""),
    ("truly ", ""),
    ("my best friend", "my friend"),
    (", I think", ""),
    (", frankly", ""),
)


@dataclass(frozen=True, slots=True)
class _Planned:
    """An annotated sentence before it has a place in its post: its text and (criterion, status) label."""

    text: str
    label: tuple[str, int]
    construction: str


def generate_corpus(posts: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Generate `posts` synthetic posts and the annotations of their sentences.

    Each post depends on (seed, its index) alone: a smaller corpus is a prefix of a larger one with the same seed, on
    any machine and in any process.

    Returns:
        posts: one row a post, columns post_id, text.
        annotations: one row a sentence and criterion, columns post_id, sentence_id, sentence_text, DSM5_symptom,
            status (1 = the writer has the symptom, 0 = an explicit negative), explanation. About a third of the
            sentence texts differ lightly from the sentence in the post.
    """
    post_rows: list[tuple[str, str]] = []
    annotation_rows: list[tuple[str, str, str, str, int, str]] = []
    for index in range(posts):
        draw = Draw(f"evidence-hpo sample {seed} {index}")
        post_id = f"s_{index + 1}_{draw.between(0, 99)}"
        planned = [] if draw.chance(_WITHOUT_SYMPTOM) else _plan(draw)
        sentences, places = _compose(draw, planned)
        post_rows.append((post_id, _join(draw, sentences)))
        for plan, place in zip(planned, places, strict=True):
            text = _paraphrase(draw, plan.text) if draw.chance(_PARAPHRASED) else plan.text
            criterion, status = plan.label
            verdict = "present" if status else "absent"
            explanation = f"Synthetic sentence ({plan.construction}): {verdict} in the writer."
            annotation_rows.append((post_id, f"{post_id}_{place}", text, criterion, status, explanation))
    return (
        pd.DataFrame(post_rows, columns=list(POST_COLUMNS)),
        pd.DataFrame(annotation_rows, columns=list(ANNOTATION_COLUMNS)),
    )


def _plan(draw: Draw) -> list[_Planned]:
    """The annotated sentences of a post: often one criterion appears twice, with opposite statuses."""
    planned: list[_Planned] = []
    used: set[str] = set()
    for _ in range(draw.weighted(_ANNOTATIONS)):
        planned.append(_plan_single(draw, [plan.label for plan in planned], used))
    return planned


def _plan_single(draw: Draw, labels: list[tuple[str, int]], used: set[str]) -> _Planned:
    if labels and draw.chance(_OPPOSITE):
        criterion, other = draw.pick(labels)
        status = 1 - other
    else:
        criterion, status = draw.weighted(lexicon.WEIGHTS), int(draw.chance(_POSITIVE))
    frame = draw_frame(draw, criterion, used)
    return _Planned(frame.sentence(status), (criterion, status), frame.construction)


def _compose(draw: Draw, planned: list[_Planned]) -> tuple[list[str], list[int]]:
    """The sentences of a post, and the place of each planned sentence among them."""
    neutral = draw.between(*(_NEUTRAL_LONG if draw.chance(_LONG) else _NEUTRAL))
    total = neutral + len(planned)
    places = draw.sample(range(total), len(planned))
    sentences = [neutral_sentence(draw) for _ in range(total)]
    for plan, place in zip(planned, places, strict=True):
        sentences[place] = plan.text
    return sentences, places


def _join(draw: Draw, sentences: list[str]) -> str:
    parts = [sentences[0]]
    for sentence in sentences[1:]:
        parts += ["\n\n" if draw.chance(0.12) else " ", sentence]
    return "".join(parts)


def _paraphrase(draw: Draw, text: str) -> str:
    """The sentence as a hurried annotator would copy it: one or two small changes."""
    possible = [change for change in _PARAPHRASES if change[0] in text]
    changed = text
    if possible:
        old, new = draw.pick(possible)
        changed = changed.replace(old, new, 1)
    if changed == text or draw.chance(0.5):
        changed = draw.pick((str.lower, _without_commas, _without_stop))(changed)
    return changed


def _without_commas(text: str) -> str:
    return text.replace(",", "")


def _without_stop(text: str) -> str:
    return text.rstrip(".")
