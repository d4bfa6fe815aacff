"""Training, validation and test posts: grouped, stratified, or as an official file says; never leaking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evidence_hpo.config.base import suggestion
from evidence_hpo.config.data import SplitSettings
from evidence_hpo.data.problems import Problems, listed, shown_names
from evidence_hpo.data.stratification import stratify
from evidence_hpo.data.tables import digest_rows, read_foreign, text_keys
from evidence_hpo.errors import DataError
from evidence_hpo.logs import log_event

__all__ = ["SPLITS", "check_no_leakage", "describe_splits", "log_counts", "split_posts"]

SPLITS = ("train", "validation", "test")
_NAMES = {"train": "train", "training": "train", "validation": "validation", "dev": "validation", "val": "validation"}
_NAMES["test"] = "test"


def split_posts(
    settings: SplitSettings, seed: int, posts: pd.DataFrame, annotations: pd.DataFrame
) -> dict[str, list[str]]:
    """Return the sorted post ids of each split.

    Posts with the same text, whatever its case and spaces, are one group and stay together.

    Args:
        settings: Shares, or the official file.
        seed: Of the stratified split; an official file ignores it.
        posts: post_id, text.
        annotations: post_id, criterion, status.

    Raises:
        DataError: A split would be empty, or the official file is wrong or separates posts with the same text.
    """
    if settings.file is not None:
        splits = _official(Path(settings.file), posts)
    else:
        splits = _stratified(settings, seed, posts, annotations)
    check_no_leakage(splits, posts, settings.file or "split")
    return splits


def _stratified(
    settings: SplitSettings, seed: int, posts: pd.DataFrame, annotations: pd.DataFrame
) -> dict[str, list[str]]:
    ids = posts["post_id"].tolist()
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(text_keys(posts)):
        groups.setdefault(key, []).append(index)
    members = list(groups.values())
    names = [min(ids[index] for index in group) for group in members]
    per_post = _label_matrix(ids, annotations)
    labels = np.stack([per_post[group].sum(axis=0) for group in members])
    sizes = np.asarray([len(group) for group in members], dtype=np.int64)
    shares = [getattr(settings, name) for name in SPLITS]
    subset = stratify(names, sizes, labels, shares, seed)
    splits = {
        name: sorted(ids[index] for group in np.flatnonzero(subset == number) for index in members[group])
        for number, name in enumerate(SPLITS)
    }
    empty = [name for name in SPLITS if not splits[name]]
    if empty:
        raise DataError(
            f"data.split: {len(members)} different posts leave no post for {' and '.join(empty)}; "
            f"give more posts or raise data.split.{empty[0]}"
        )
    return splits


def _label_matrix(ids: Sequence[str], annotations: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return for each post whether it has negatives, and evidence, of each criterion, [posts, 2 x criteria]."""
    criteria = sorted(set(annotations["criterion"]))
    row = {post_id: number for number, post_id in enumerate(ids)}
    column = {criterion: number for number, criterion in enumerate(criteria)}
    matrix = np.zeros((len(ids), 2 * len(criteria)), dtype=np.int64)
    rows = annotations["post_id"].map(row).to_numpy(dtype=np.int64)
    columns = annotations["criterion"].map(column).to_numpy(dtype=np.int64) * 2
    matrix[rows, columns + annotations["status"].to_numpy(dtype=np.int64)] = 1
    return matrix


def _official(path: Path, posts: pd.DataFrame) -> dict[str, list[str]]:
    shown = str(path)
    table = read_foreign(path, {"post_id": "post_id", "split": "split"}, section="")
    problems = Problems()
    names = table["split"].fillna("").astype(str).str.strip().str.lower()
    splits = names.map(_NAMES)
    for name in sorted(set(names[splits.isna()])):
        what = f"unknown split {shown_names([name], [int(names.index[names == name][0])])[0]}" if name else "no split"
        rows = table[names == name]
        ids = shown_names(rows["post_id"].tolist(), rows.index.tolist())
        problems.add(shown, len(rows), what + suggestion(name, ("dev", *SPLITS)), ids)
    known, given = set(posts["post_id"]), table["post_id"]
    for rows, what in (
        (table[~given.isin(known)], "post id not in the corpus"),
        (table[given.duplicated(keep=False)], "duplicate post id"),
    ):
        if not rows.empty:
            problems.add(shown, len(rows), what, shown_names(rows["post_id"].tolist(), rows.index.tolist()))
    left = sorted(known - set(given))
    if left:
        problems.add(shown, 0, f"{len(left)} posts of the corpus have no split", left)
    problems.raise_any()
    return _by_split(shown, given.tolist(), splits.tolist())


def _by_split(shown: str, ids: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    splits = {name: sorted(i for i, given in zip(ids, names, strict=True) if given == name) for name in SPLITS}
    empty = [name for name in SPLITS if not splits[name]]
    if empty:
        raise DataError(f"{shown}: no post for {' and '.join(empty)}; each of {', '.join(SPLITS)} needs posts")
    return splits


def check_no_leakage(splits: Mapping[str, Sequence[str]], posts: pd.DataFrame, where: str) -> None:
    """Check that every post is in exactly one split, and that no text is in two.

    Raises:
        DataError: Names the ids that leak.
    """
    split_of: dict[str, str] = {}
    twice = [i for name, ids in splits.items() for i in ids if split_of.setdefault(i, name) != name]
    problems = Problems()
    if twice:
        problems.add(where, 0, f"{len(twice)} posts are in two splits", sorted(twice))
    lost = sorted(set(posts["post_id"]) ^ set(split_of))
    if lost:
        problems.add(where, 0, f"{len(lost)} posts are in no split, or unknown", lost)
    groups: dict[str, list[str]] = {}
    for post_id, key in zip(posts["post_id"], text_keys(posts), strict=True):
        groups.setdefault(key, []).append(post_id)
    for ids in groups.values():
        if len({split_of.get(post_id) for post_id in ids}) > 1:
            problems.add(where, 0, "posts with the same text are in different splits", ids, "put them in one split")
    problems.raise_any()


def describe_splits(
    splits: Mapping[str, Sequence[str]], posts: pd.DataFrame, annotations: pd.DataFrame
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the digest (ids and content) and the counts of each split, by split."""
    digests: dict[str, str] = {}
    counts: dict[str, dict[str, Any]] = {}
    criteria = sorted(set(annotations["criterion"]))
    for name, ids in splits.items():
        own_posts = posts[posts["post_id"].isin(ids)]
        own = annotations[annotations["post_id"].isin(ids)]
        content = own[["post_id", "sentence_id", "sentence_text", "criterion", "status"]].astype({"status": int})
        digests[name] = digest_rows(
            [*zip(own_posts["post_id"], own_posts["text"], strict=True), *content.itertuples(index=False, name=None)]
        )
        positives = own[own["status"] == 1]
        counts[name] = {
            "posts": len(own_posts),
            "annotations": len(own),
            "posts_with_evidence": int(positives["post_id"].nunique()),
            "positives": _per_criterion(positives, criteria),
            "negatives": _per_criterion(own[own["status"] == 0], criteria),
        }
    return digests, counts


def _per_criterion(annotations: pd.DataFrame, criteria: Sequence[str]) -> dict[str, int]:
    counts = annotations["criterion"].value_counts()
    return {criterion: int(counts.get(criterion, 0)) for criterion in criteria}


def log_counts(counts: Mapping[str, Mapping[str, Any]]) -> None:
    """Tell the size of each split, and which criteria have no evidence in one."""
    for name, own in counts.items():
        log_event("split", f"{name}: {own['posts']} posts, {own['annotations']} annotations", split=name)
        never = [criterion for criterion, count in own["positives"].items() if not count]
        if never:
            log_event("no_positives", f"{name}: no evidence for {listed(never)}", level="warning", split=name)
