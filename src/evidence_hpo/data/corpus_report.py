"""What a corpus holds, in counts and ids: no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evidence_hpo.data.problems import listed
from evidence_hpo.data.tables import digest_rows, text_keys
from evidence_hpo.data.validation import ValidCorpus
from evidence_hpo.files import digest_json
from evidence_hpo.logs import log_event

__all__ = ["ALIGNMENTS", "LONG_POST_WORDS", "describe_corpus", "log_findings"]

ALIGNMENTS = ("exact", "normalised", "fuzzy", "none")
LONG_POST_WORDS = 512


def describe_corpus(
    corpus: ValidCorpus,
    annotations: pd.DataFrame,
    criteria: Sequence[Mapping[str, str]],
    source: Mapping[str, str | int],
) -> dict[str, Any]:
    """Return the content of the corpus report.

    Args:
        corpus: The checked corpus.
        annotations: Its annotations with their alignment.
        criteria: id, name, text of each.
        source: Where the corpus came from.
    """
    posts = corpus.posts
    words = np.asarray([len(text.split()) for text in posts["text"]])
    annotated = set(annotations["post_id"])
    with_evidence = set(annotations.loc[annotations["status"] == 1, "post_id"])
    unaligned = annotations[annotations["alignment"] == "none"]
    alignments = annotations["alignment"].value_counts()
    return {
        "source": dict(source),
        "posts": {
            "count": len(posts),
            "without_annotation": len(posts) - len(annotated),
            "without_evidence": len(posts) - len(with_evidence),
            "with_repeated_text": len(posts) - len(set(text_keys(posts))),
            "longer_than_512_words": int((words > LONG_POST_WORDS).sum()),
            "words": {"least": int(words.min()), "mean": round(float(words.mean()), 1), "most": int(words.max())},
        },
        "annotations": {
            "count": len(annotations),
            "by_criterion": {c["id"]: _by_status(annotations[annotations["criterion"] == c["id"]]) for c in criteria},
            "by_alignment": {kind: int(alignments.get(kind, 0)) for kind in ALIGNMENTS},
            "unaligned": [f"{s}|{c}" for s, c in zip(unaligned["sentence_id"], unaligned["criterion"], strict=True)],
            "blank": corpus.blank,
        },
        "labels": {"aliases": corpus.aliases, "ignored": corpus.ignored},
        "digests": {
            "posts": digest_rows(zip(posts["post_id"], posts["text"], strict=True)),
            "annotations": digest_rows(_plain(annotations)),
            "criteria": digest_json([dict(criterion) for criterion in criteria]),
        },
    }


def log_findings(report: Mapping[str, Any]) -> None:
    """Tell what a user should know of a corpus: its size, and whatever was left out or could not be aligned."""
    posts, annotations, labels = report["posts"], report["annotations"], report["labels"]
    kinds = annotations["by_alignment"]
    log_event(
        "corpus",
        f"{posts['count']} posts, {annotations['count']} annotations; aligned: "
        + ", ".join(f"{kinds[kind]} {kind}" for kind in ALIGNMENTS),
    )
    for alias, count in labels["aliases"].items():
        log_event("alias", f"label '{alias}' understood by its alias in {count} annotations", count=count)
    for label, count in labels["ignored"].items():
        log_event("ignored", f"label '{label}' left out: {count} annotations", count=count)
    never = [name for name, counts in annotations["by_criterion"].items() if not counts["evidence"]]
    for names, what in (
        (annotations["unaligned"], "annotations could not be aligned to their post"),
        (annotations["blank"], "annotations left out, their sentence is blank"),
        (never, "criteria have no evidence in any post"),
    ):
        if names:
            log_event("finding", f"{len(names)} {what}: {listed(names)}", level="warning", count=len(names))


def _by_status(annotations: pd.DataFrame) -> dict[str, int]:
    status = annotations["status"]
    return {"evidence": int((status == 1).sum()), "negative": int((status == 0).sum())}


def _plain(annotations: pd.DataFrame) -> list[list[object]]:
    columns = ["post_id", "sentence_id", "sentence_text", "criterion", "status", "start", "end", "alignment"]
    typed = annotations[columns].astype(object)
    return [
        [None if pd.isna(value) else int(value) if not isinstance(value, str) else value for value in row]
        for row in typed.itertuples(index=False, name=None)
    ]
