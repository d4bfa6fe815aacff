"""Examples of the two tasks, made from the annotated posts of one split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evidence_hpo.config.data import EvidenceExampleSettings, ExampleSettings
from evidence_hpo.data.problems import listed
from evidence_hpo.errors import DataError
from evidence_hpo.logs import log_event

__all__ = [
    "Examples",
    "build_criteria_examples",
    "build_evidence_examples",
    "build_examples",
    "log_examples",
    "merge_spans",
]

Span = tuple[int, int]


@dataclass(frozen=True)
class Examples:
    """Examples of one task and split.

    Attributes:
        frame: example_id, post_id, criterion, text, label (0 or 1), spans (list of start and end, character offsets
            in ``text``); sorted by example_id.
        left_out: Pairs of post and criterion with evidence that could not be aligned; they are no examples, because a
            null answer would be false.
    """

    frame: pd.DataFrame
    left_out: list[str]


def build_examples(
    settings: ExampleSettings,
    task: str,
    seed: int,
    posts: pd.DataFrame,
    annotations: pd.DataFrame,
    criteria: Sequence[str],
) -> Examples:
    """Build the examples of ``task`` (criteria or evidence).

    Args:
        settings: Units and the number of null pairs.
        task: ``criteria`` or ``evidence``.
        seed: Of the choice of null pairs.
        posts: post_id, text of one split.
        annotations: The aligned annotations of these posts.
        criteria: Ids of all criteria.

    Raises:
        DataError: There would be no example, or none with label 1.
    """
    if task == "criteria":
        examples = build_criteria_examples(settings.criteria.unit, posts, annotations, criteria)
        key = "data.examples.criteria.unit"
    else:
        examples = build_evidence_examples(settings.evidence, seed, posts, annotations, criteria)
        key = "data.corpus.alignment.fuzzy_threshold"
    if not (examples.frame["label"] == 1).any():
        lost = f", {len(examples.left_out)} pairs with evidence that could not be aligned" if examples.left_out else ""
        raise DataError(
            f"{task} task: {len(posts)} posts with {len(annotations)} annotations give {len(examples.frame)} examples, "
            f"none positive{lost}; give more posts, larger data.split shares or change {key}"
        )
    return examples


def build_criteria_examples(
    unit: str, posts: pd.DataFrame, annotations: pd.DataFrame, criteria: Sequence[str]
) -> Examples:
    """Build one example per annotated sentence (``sentence``), or one per post and criterion (``post``)."""
    if unit == "post":
        frame = _all_pairs(posts, criteria)
        frame["label"] = frame["example_id"].isin(set(_pair_ids(annotations[annotations["status"] == 1]))).astype(int)
    else:
        frame = pd.DataFrame(
            {
                "example_id": [
                    f"{s}|{c}" for s, c in zip(annotations["sentence_id"], annotations["criterion"], strict=True)
                ],
                "post_id": annotations["post_id"].tolist(),
                "criterion": annotations["criterion"].tolist(),
                "text": annotations["sentence_text"].tolist(),
                "label": annotations["status"].astype(int).tolist(),
            }
        )
    return Examples(_finished(frame, [[]] * len(frame)), [])


def build_evidence_examples(
    settings: EvidenceExampleSettings,
    seed: int,
    posts: pd.DataFrame,
    annotations: pd.DataFrame,
    criteria: Sequence[str],
) -> Examples:
    """Build one example per post and criterion: its evidence spans, or null (no span, label 0).

    Null pairs: ``negatives_per_positive`` for each positive pair (None: all), at most ``explicit_negative_share`` of
    them explicit negatives as long as there are others; only the seed and the id decide which.
    """
    positives = annotations[annotations["status"] == 1]
    aligned = positives[positives["start"].notna()]
    spans = _spans_by_pair(aligned)
    with_evidence = set(_pair_ids(positives))
    explicit = set(_pair_ids(annotations[annotations["status"] == 0]))
    frame = _all_pairs(posts, criteria)
    ids = frame["example_id"].tolist()
    null_ids = [example_id for example_id in ids if example_id not in with_evidence]
    if settings.negatives_per_positive is not None:
        quota = round(settings.negatives_per_positive * len(spans))
        most_explicit = round(settings.explicit_negative_share * quota)
        null_ids = _sampled_nulls(null_ids, explicit, quota, most_explicit, seed)
    kept = set(null_ids) | set(spans)
    frame = frame[frame["example_id"].isin(kept)]
    own = [spans.get(example_id, []) for example_id in frame["example_id"]]
    frame = frame.assign(label=[int(bool(found)) for found in own])
    return Examples(_finished(frame, own), sorted(with_evidence - set(spans)))


def _sampled_nulls(null_ids: list[str], explicit: set[str], quota: int, most_explicit: int, seed: int) -> list[str]:
    ranked = sorted(null_ids, key=lambda example_id: _rank(example_id, seed))
    marked = [example_id for example_id in ranked if example_id in explicit]
    others = [example_id for example_id in ranked if example_id not in explicit]
    chosen = marked[:most_explicit]
    chosen += others[: quota - len(chosen)]
    return chosen + marked[most_explicit:][: quota - len(chosen)]


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the spans sorted, with those that overlap or touch made into one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _spans_by_pair(aligned: pd.DataFrame) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for example_id, start, end in zip(_pair_ids(aligned), aligned["start"], aligned["end"], strict=True):
        found.setdefault(example_id, []).append((int(start), int(end)))
    return {example_id: merge_spans(spans) for example_id, spans in found.items()}


def _pair_ids(annotations: pd.DataFrame) -> list[str]:
    return [f"{p}|{c}" for p, c in zip(annotations["post_id"], annotations["criterion"], strict=True)]


def _all_pairs(posts: pd.DataFrame, criteria: Sequence[str]) -> pd.DataFrame:
    times = len(criteria)
    frame = pd.DataFrame(
        {
            "post_id": np.repeat(posts["post_id"].to_numpy(dtype=object), times),
            "criterion": np.tile(np.asarray(criteria, dtype=object), len(posts)),
            "text": np.repeat(posts["text"].to_numpy(dtype=object), times),
        }
    )
    return frame.assign(example_id=_pair_ids(frame))


def _rank(example_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}|{example_id}".encode()).hexdigest()


def _finished(frame: pd.DataFrame, spans: Sequence[Sequence[Span]]) -> pd.DataFrame:
    structs = [[{"start": start, "end": end} for start, end in own] for own in spans]
    frame = frame[["example_id", "post_id", "criterion", "text", "label"]]
    frame = frame.assign(spans=pd.Series(structs, index=frame.index, dtype=object))
    return frame.sort_values("example_id", ignore_index=True)


def log_examples(task: str, examples: Examples) -> None:
    """Tell the number of examples, and which pairs were left out."""
    labels = examples.frame["label"]
    positives = int(labels.sum())
    log_event(
        "examples",
        f"{task}: {len(labels)} examples, {positives} positive",
        task=task,
        examples=len(labels),
        positives=positives,
        left_out=examples.left_out,
    )
    if examples.left_out:
        count = len(examples.left_out)
        message = f"{task}: {count} pairs left out, their evidence could not be aligned: {listed(examples.left_out)}"
        log_event("unaligned_pairs", message, level="warning", count=count)
    if task == "criteria" and positives == len(labels):
        message = "criteria: every example is positive, so nothing can be learnt; data.examples.criteria.unit: post"
        log_event("no_negatives", message, level="warning")
