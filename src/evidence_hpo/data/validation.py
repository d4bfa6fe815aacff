"""Checks a corpus as a whole: every problem in one report, by file, row count and ids, never by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evidence_hpo.config.base import suggestion
from evidence_hpo.config.data import CorpusSettings
from evidence_hpo.data.problems import Problems, shown_names
from evidence_hpo.data.sources import RawCorpus

__all__ = ["ValidCorpus", "validate_corpus"]

_STATUS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}


@dataclass(frozen=True)
class ValidCorpus:
    """A corpus without faults.

    Attributes:
        posts: post_id, text; sorted by post_id.
        annotations: post_id, sentence_id, sentence_text, criterion, status (0 or 1); sorted by post_id, sentence_id
            and criterion.
        aliases: Annotations per misspelt label that was understood.
        ignored: Annotations per label that were left out.
        blank: Ids of annotations left out because their sentence is nothing but white space.
    """

    posts: pd.DataFrame
    annotations: pd.DataFrame
    aliases: dict[str, int]
    ignored: dict[str, int]
    blank: list[str]


def validate_corpus(raw: RawCorpus, settings: CorpusSettings, criteria: Sequence[str]) -> ValidCorpus:
    """Check both tables and return them typed and sorted.

    Args:
        raw: The corpus as read.
        settings: Aliases and ignored labels.
        criteria: Ids of the criteria.

    Raises:
        DataError: One line per problem.
    """
    problems = Problems()
    _check_posts(raw.posts, raw.posts_name, problems)
    aliases, ignored, annotations = _resolve_labels(raw, settings, criteria, problems)
    annotations, blank = _without_blanks(annotations)
    status = _check_annotations(annotations, raw, problems)
    problems.raise_any()
    posts = raw.posts.sort_values("post_id", ignore_index=True)
    annotations = annotations.assign(status=status.astype(np.int8))
    annotations = annotations.sort_values(["post_id", "sentence_id", "criterion"], ignore_index=True)
    return ValidCorpus(posts, annotations, aliases, ignored, blank)


def _check_posts(posts: pd.DataFrame, name: str, problems: Problems) -> None:
    if posts.empty:
        problems.add(name, 0, "holds no posts")
    _check_ids(posts, "post_id", name, problems)
    _check_texts(posts, "text", "post_id", name, problems)
    twice = posts["post_id"].duplicated(keep=False) & ~_missing(posts["post_id"])
    _add(problems, name, posts, twice, "duplicate post id", "post_id")


def _check_annotations(annotations: pd.DataFrame, raw: RawCorpus, problems: Problems) -> pd.Series[int]:
    """Check everything but the labels; return the status as 0, 1 or -1 (invalid)."""
    name = raw.annotations_name
    if annotations.empty:
        problems.add(name, 0, "holds no annotation of a criterion")
    for column in ("post_id", "sentence_id"):
        _check_ids(annotations, column, name, problems)
    _check_texts(annotations, "sentence_text", "sentence_id", name, problems)
    _check_known_posts(annotations, raw, problems)
    texts = annotations["status"].fillna("").astype(str).str.strip().str.lower()
    status = texts.map(_STATUS).fillna(-1).astype(int)
    remedy = "must be 1 (evidence) or 0 (explicit negative)"
    _add(problems, name, annotations, status < 0, "invalid status", "sentence_id", remedy)
    _check_duplicates(annotations.assign(status=status), name, problems)
    return status


def _check_known_posts(annotations: pd.DataFrame, raw: RawCorpus, problems: Problems) -> None:
    known = set(raw.posts["post_id"].dropna())
    unknown = ~annotations["post_id"].isin(known) & ~_missing(annotations["post_id"])
    what = f"post id not in {raw.posts_name}"
    _add(problems, raw.annotations_name, annotations, unknown, what, "post_id")


def _check_duplicates(annotations: pd.DataFrame, name: str, problems: Problems) -> None:
    pair = ["sentence_id", "criterion"]
    complete = ~_missing(annotations["sentence_id"]) & ~_missing(annotations["criterion"])
    twice = annotations.duplicated(pair, keep=False) & complete
    ways = annotations[annotations["status"] >= 0].groupby(pair)["status"].nunique()
    clashing = {key for key, count in ways.items() if count > 1}
    keys = zip(annotations["sentence_id"], annotations["criterion"], strict=True)
    contradicted = pd.Series([key in clashing for key in keys], annotations.index, dtype=bool)
    what = "one sentence has both status 0 and 1 for one criterion"
    _add(problems, name, annotations, twice & contradicted, what, pair, "keep one of the rows")
    what = "duplicate annotation (sentence_id, criterion)"
    _add(problems, name, annotations, twice & ~contradicted, what, pair, "keep one of the rows")
    posts = annotations[~_missing(annotations["sentence_id"])].groupby("sentence_id")["post_id"].nunique()
    shared = annotations["sentence_id"].isin(set(posts.index[posts > 1]))
    _add(problems, name, annotations, shared, "sentence id used in more than one post", "sentence_id")


def _without_blanks(annotations: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out sentences of white space alone, which sentence splitters leave behind; a missing one stays a fault."""
    texts = annotations["sentence_text"].fillna("").astype(str)
    blank = (texts != "") & (texts.str.strip() == "")
    ids = shown_names(annotations["sentence_id"][blank].tolist(), annotations.index[blank].tolist())
    return annotations[~blank], sorted(set(ids))


def _check_ids(frame: pd.DataFrame, column: str, name: str, problems: Problems) -> None:
    missing = _missing(frame[column])
    places = frame.index[missing].tolist()
    if places:
        problems.add(name, len(places), f"missing {column}", [f"row {place + 1}" for place in places])
    values = frame[column].fillna("").astype(str)
    spaced = (values != values.str.strip()) & ~missing
    _add(problems, name, frame, spaced, f"{column} with spaces around it", column, "remove them")
    hidden = pd.Series([not value.isprintable() for value in values], frame.index, dtype=bool) & ~spaced & ~missing
    _add(problems, name, frame, hidden, f"{column} with control characters", column, "remove them")


def _check_texts(frame: pd.DataFrame, column: str, key: str, name: str, problems: Problems) -> None:
    _add(problems, name, frame, _missing(frame[column]), f"empty or missing {column}", key)
    nul = frame[column].fillna("").astype(str).str.contains("\0", regex=False)
    _add(problems, name, frame, nul, f"NUL character in {column}", key, "remove it")


def _resolve_labels(
    raw: RawCorpus, settings: CorpusSettings, criteria: Sequence[str], problems: Problems
) -> tuple[dict[str, int], dict[str, int], pd.DataFrame]:
    """Apply the aliases, leave out ignored labels, and report labels that are no criterion."""
    name, frame = raw.annotations_name, raw.annotations
    for key, labels_of_key in (("ignored_labels", settings.ignored_labels), ("label_aliases", settings.label_aliases)):
        both = sorted(set(criteria) & set(labels_of_key))
        if both:
            problems.add(f"data.corpus.{key}", 0, "is also a criterion", both, "remove it from one of the two")
    given = frame["criterion"]
    aliased = given.isin(settings.label_aliases.keys())
    labels = given.where(~aliased, given.map(settings.label_aliases))
    left_out = labels.isin(settings.ignored_labels)
    missing = _missing(labels)
    _add(problems, name, frame, missing, "missing criterion", "sentence_id")
    unknown = ~labels.isin(criteria) & ~left_out & ~missing
    if unknown.any():
        values = labels[unknown]
        remedy = "data.corpus.label_aliases renames a label, data.corpus.ignored_labels leaves it out"
        shown = _described_labels(values, criteria)
        problems.add(name, int(unknown.sum()), "label that is no criterion", shown, remedy)
    kept = frame.assign(criterion=labels)[~left_out]
    return _counts(given[aliased]), _counts(labels[left_out]), kept


def _described_labels(values: pd.Series[str], criteria: Sequence[str]) -> list[str]:
    counts = values.value_counts(sort=False)
    rows = [int(values.index[values == label][0]) for label in counts.index]
    described = []
    for label, row in zip(counts.index, rows, strict=True):
        hint = suggestion(label, criteria)
        # A label near a criterion is a misspelling of it, so it may be shown even where it is not plain.
        near = "did you mean" in hint
        shown = f"'{label}'" if near else shown_names([label], [row])[0]
        described.append(f"{shown} ({counts[label]}{hint if near else ''})")
    return described


def _counts(values: pd.Series[str]) -> dict[str, int]:
    return {str(label): int(count) for label, count in values.value_counts().sort_index().items()}


def _missing(values: pd.Series[str]) -> pd.Series[bool]:
    return values.fillna("").astype(str).str.strip() == ""


def _add(
    problems: Problems,
    name: str,
    frame: pd.DataFrame,
    faulty: pd.Series[bool],
    what: str,
    columns: str | list[str],
    remedy: str = "",
) -> None:
    """Add a problem for the faulty rows, if any, named by the values of ``columns``."""
    rows = frame[faulty.to_numpy(dtype=bool)]
    if rows.empty:
        return
    places = [int(place) for place in rows.index]
    names = [
        shown_names(rows[column].tolist(), places) for column in ([columns] if isinstance(columns, str) else columns)
    ]
    joined = [" ".join(dict.fromkeys(parts)) for parts in zip(*names, strict=True)]
    problems.add(name, len(rows), what, joined, remedy)
