"""Floors: what a score must clear before it says anything about the transformer. Fitted on the training split.

A floor's predictions have the columns of a model's, so that both are scored by the same code on the same rows, and a
floor's threshold is tuned on the validation split exactly as a model's is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from evidence_hpo.evaluation.predictions import Predictions, Span
from evidence_hpo.evaluation.thresholds import DEFAULT_NULL_THRESHOLD, tune_criteria, tune_evidence
from evidence_hpo.training.metrics import criteria_metrics

__all__ = ["REGULARISATION", "Floor", "criteria_floors", "evidence_floors", "floors_of", "sentence_spans"]

REGULARISATION = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse strengths of the logistic regression's L2 penalty; the validation split chooses."""

_FEATURES = 100_000
_SENTENCE = re.compile(r"[^\s.!?…。！？][^.!?…。！？\n]*[.!?…。！？]*", re.UNICODE)


@dataclass(frozen=True)
class Floor:
    """A simple method and what it predicts."""

    name: str
    method: str
    """How it works and what was chosen on which split, in one sentence."""
    predictions: Predictions


def floors_of(task: str, examples: Mapping[str, pd.DataFrame], criteria: Sequence[Mapping[str, str]]) -> list[Floor]:
    """Return the floors of a task.

    Args:
        task: criteria or evidence.
        examples: Split -> examples of the task.
        criteria: Id and text of each criterion.
    """
    parts = (examples["train"], examples["validation"], examples["test"])
    return criteria_floors(*parts) if task == "criteria" else evidence_floors(*parts, criteria)


# --- criteria --------------------------------------------------------------------------------------------------


def criteria_floors(train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame) -> list[Floor]:
    """Return the floors of the criteria task.

    Args:
        train: Examples (example_id, post_id, criterion, text, label) that the floors are fitted on.
        validation: Examples that their settings are chosen on.
        test: Examples to predict; their labels are only passed through.
    """
    floors = (_majority, _criterion_share, _tfidf_regression)
    return [floor(train, validation, test) for floor in floors]


def _majority(train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame) -> Floor:
    label = int(train["label"].mean() >= 0.5)
    predictions = Predictions(*(_criteria_table(part, np.full(len(part), float(label))) for part in (validation, test)))
    method = f"Always the more frequent label of the training split, {label}."
    return Floor("majority", method, predictions)


def _criterion_share(train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame) -> Floor:
    """Return what the criterion alone tells: where most criteria have one label, that is nearly everything."""
    shares, overall = train.groupby("criterion")["label"].mean(), float(train["label"].mean())
    tables = [
        _criteria_table(part, part["criterion"].map(shares).fillna(overall).to_numpy(dtype=np.float64))
        for part in (validation, test)
    ]
    method = "Never reads the text: the share of the criterion's training examples that are positive."
    return Floor("criterion_share", method, Predictions(*tables))


def _tfidf_regression(train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame) -> Floor:
    features = _TextFeatures(train)
    matrices = [features.of(part) for part in (train, validation, test)]
    labels = train["label"].to_numpy()
    if len(set(labels.tolist())) < 2:
        silent = _majority(train, validation, test).predictions
        return Floor("tfidf_logistic_regression", "Only one label in the training split, so always that.", silent)
    tried = []
    for inverse in REGULARISATION:
        model: Any = LogisticRegression(C=inverse, max_iter=2000)  # type: ignore[no-untyped-call]
        model.fit(matrices[0], labels)
        table = _criteria_table(validation, model.predict_proba(matrices[1])[:, 1])
        tried.append((_tuned_macro_f1(table), inverse, model, table))
    # The strongest penalty among equals: max keeps the first.
    _, inverse, model, table = max(tried, key=lambda item: item[0])
    method = (
        "Logistic regression on TF-IDF of words and word pairs, shared and for each criterion, and the criterion; "
        f"C = {inverse:g} chosen on the validation split."
    )
    test_table = _criteria_table(test, model.predict_proba(matrices[2])[:, 1])
    return Floor("tfidf_logistic_regression", method, Predictions(table, test_table))


class _TextFeatures:
    """TF-IDF of words and word pairs, once for all criteria and once for each, with the criterion as one-hot.

    Without the part of its own, a text would get the same ranking for every criterion, and the floor would be too low
    (the feature copies of Daumé 2007).
    """

    def __init__(self, train: pd.DataFrame) -> None:
        settings: dict[str, Any] = {"ngram_range": (1, 2), "sublinear_tf": True, "max_features": _FEATURES}
        self._vectorizer: Any = TfidfVectorizer(**settings)  # type: ignore[no-untyped-call]
        self._vectorizer.fit(train["text"])
        self._criteria = {criterion: number for number, criterion in enumerate(sorted(set(train["criterion"])))}

    def of(self, examples: pd.DataFrame) -> Any:
        """Return the sparse matrix of the examples, shape [n, features]."""
        texts = self._vectorizer.transform(examples["text"]).tocoo()
        number = np.array([self._criteria.get(criterion, -1) for criterion in examples["criterion"]])
        rows, known = len(examples), number >= 0
        count, width = len(self._criteria), texts.shape[1]
        one_hot = sparse.csr_matrix((np.ones(known.sum()), (np.flatnonzero(known), number[known])), shape=(rows, count))
        kept = known[texts.row]
        own = sparse.csr_matrix(
            (texts.data[kept], (texts.row[kept], number[texts.row[kept]] * width + texts.col[kept])),
            shape=(rows, count * width),
        )
        return sparse.hstack([texts, one_hot, own], format="csr")


def _tuned_macro_f1(table: pd.DataFrame) -> float:
    threshold = tune_criteria(table).overall
    return criteria_metrics(table["label"].to_numpy(), table["probability"].to_numpy(), threshold)["macro_f1"]


def _criteria_table(examples: pd.DataFrame, probabilities: NDArray[np.float64]) -> pd.DataFrame:
    return examples[["example_id", "post_id", "criterion", "label"]].assign(probability=probabilities)


# --- evidence --------------------------------------------------------------------------------------------------


def evidence_floors(
    train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, criteria: Sequence[Mapping[str, str]]
) -> list[Floor]:
    """Return the floors of the evidence task.

    Args:
        train: Examples (example_id, post_id, criterion, text, label, spans) that the floors are fitted on.
        validation: Examples that their threshold is tuned on.
        test: Examples to predict; their spans are only passed through.
        criteria: Id and text of each criterion.
    """
    silent = Predictions(
        *(_evidence_table(part, [None] * len(part), np.zeros(len(part))) for part in (validation, test))
    )
    return [
        Floor("always_null", "Never gives a span.", silent),
        _best_sentence(train, validation, test, {item["id"]: item["text"] for item in criteria}),
    ]


def _best_sentence(
    train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, criteria: Mapping[str, str]
) -> Floor:
    posts = train.drop_duplicates("post_id")["text"]
    sentences = [text[start:end] for text in posts for start, end in sentence_spans(text)]
    vectorizer: Any = TfidfVectorizer(sublinear_tf=True)  # type: ignore[no-untyped-call]
    vectorizer.fit([*sentences, *criteria.values()])
    names = sorted(criteria)
    targets = vectorizer.transform([criteria[name] for name in names])
    tables = []
    for part in (validation, test):
        spans, similarities = _most_similar(part, vectorizer, targets, names)
        tables.append(_evidence_table(part, spans, similarities))
    threshold = tune_evidence(tables[0]).overall
    tables = [table.assign(null_score=threshold) for table in tables]
    method = (
        "The sentence most similar to the criterion's text by TF-IDF cosine, if the similarity is above "
        f"{threshold:.3f}, tuned on the validation split."
    )
    return Floor("tfidf_best_sentence", method, Predictions(*tables))


def _most_similar(
    examples: pd.DataFrame, vectorizer: Any, targets: Any, names: Sequence[str]
) -> tuple[list[Span | None], NDArray[np.float64]]:
    column = {name: number for number, name in enumerate(names)}
    spans: list[Span | None] = [None] * len(examples)
    similarities = np.zeros(len(examples))
    texts, criteria = examples["text"].tolist(), examples["criterion"].tolist()
    # `sort=False` keeps groups in order of appearance; a post is cut and vectorised once for all its criteria.
    for _, rows in examples.reset_index(drop=True).groupby("post_id", sort=False).indices.items():
        text = texts[rows[0]]
        candidates = sentence_spans(text)
        if not candidates:
            continue
        matrix = (vectorizer.transform([text[start:end] for start, end in candidates]) @ targets.T).toarray()
        for row in rows:
            scores = matrix[:, column[criteria[row]]]
            best = int(np.argmax(scores))
            spans[row], similarities[row] = candidates[best], scores[best]
    return spans, similarities


def _evidence_table(examples: pd.DataFrame, spans: Sequence[Span | None], scores: NDArray[np.float64]) -> pd.DataFrame:
    pairs = [span or (0, 0) for span in spans]
    gold: list[Any] = [[(int(span["start"]), int(span["end"])) for span in of_row] for of_row in examples["spans"]]
    table = examples[["example_id", "post_id", "criterion"]].assign(gold=gold)
    return table.assign(
        start=[start for start, _ in pairs],
        end=[end for _, end in pairs],
        span_score=scores,
        null_score=DEFAULT_NULL_THRESHOLD,
    )


def sentence_spans(text: str) -> list[Span]:
    """Return the character spans of the sentences of ``text``: cut at line ends and after . ! ? and the like."""
    found = []
    for match in _SENTENCE.finditer(text):
        end = match.start() + len(match.group().rstrip())
        found.append((match.start(), end))
    return found
