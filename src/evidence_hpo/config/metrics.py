"""Names of the validation metrics of each architecture."""

from __future__ import annotations

__all__ = ["CRITERIA_METRICS", "EVIDENCE_METRICS", "objective_metrics"]

CRITERIA_METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_f1",
    "roc_auc",
)
"""Binary metrics over all examples: precision, recall and f1 of the positive class; macro over both classes."""

EVIDENCE_METRICS = (
    "char_f1",
    "char_precision",
    "char_recall",
    "exact_match",
    "has_answer",
    "has_answer_char_f1",
    "no_answer_accuracy",
)
"""SQuAD-style span metrics over all post-criterion pairs. `has_answer` is the accuracy of answering at all."""


def objective_metrics(architecture: str) -> tuple[str, ...]:
    """Return the metrics that may be the objective of ``architecture``."""
    if architecture == "criteria":
        return CRITERIA_METRICS
    if architecture == "evidence":
        return EVIDENCE_METRICS
    return ("mean_macro_f1_char_f1", *CRITERIA_METRICS, *EVIDENCE_METRICS)
