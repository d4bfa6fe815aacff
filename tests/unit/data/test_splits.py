"""Splits: a partition by post, near the shares for every criterion, the same for the same seed, never leaking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_hpo.config.data import SplitSettings
from evidence_hpo.data.splits import SPLITS, check_no_leakage, describe_splits, split_posts
from evidence_hpo.data.stratification import stable_order, stratify
from evidence_hpo.data.tables import text_keys
from evidence_hpo.errors import DataError


def corpus(posts: int, shares: dict[str, float], seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return posts, and annotations where each criterion is present with its share and denied as often."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"post_id": [f"p{n:04}" for n in range(posts)], "text": [f"text {n}" for n in range(posts)]})
    rows = [
        (post_id, f"{post_id}_{criterion}", f"sentence {draw}", criterion, int(draw < share))
        for post_id in table["post_id"]
        for criterion, share in shares.items()
        if (draw := random.random()) < 2 * share
    ]
    names = ["post_id", "sentence_id", "sentence_text", "criterion", "status"]
    return table, pd.DataFrame(rows, columns=names)


def per_criterion(annotations: pd.DataFrame, ids: list[str], status: int) -> dict[str, int]:
    own = annotations[annotations["post_id"].isin(ids) & (annotations["status"] == status)]
    return {str(name): int(count) for name, count in own["criterion"].value_counts().items()}


group = st.tuples(st.integers(1, 3), st.lists(st.integers(0, 2), min_size=3, max_size=3))


@given(st.lists(group, min_size=1, max_size=40), st.integers(0, 9))
def test_each_group_goes_to_one_subset(groups: list[tuple[int, list[int]]], seed: int) -> None:
    keys = [f"k{n}" for n in range(len(groups))]
    sizes, labels = np.array([size for size, _ in groups]), np.array([counts for _, counts in groups])
    subset = stratify(keys, sizes, labels, (0.6, 0.2, 0.2), seed)
    assert subset.shape == (len(groups),)
    assert set(subset.tolist()) <= {0, 1, 2}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20, unique=True), st.integers(0, 9), st.randoms())
def test_a_shuffling_depends_on_keys_and_seed_only(keys: list[str], seed: int, random: object) -> None:
    shuffled = list(keys)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = [keys[index] for index in stable_order(keys, seed)]
    assert first == [shuffled[index] for index in stable_order(shuffled, seed)]
    assert sorted(first) == sorted(keys)


@settings(max_examples=30)
@given(st.integers(20, 80), st.integers(0, 50), st.integers(0, 50))
def test_splits_are_a_partition_of_the_posts(posts: int, seed: int, data_seed: int) -> None:
    table, annotations = corpus(posts, {"A": 0.3, "B": 0.05}, data_seed)
    splits = split_posts(SplitSettings(), seed, table, annotations)
    assert list(splits) == list(SPLITS)
    assert sorted(i for ids in splits.values() for i in ids) == table["post_id"].tolist()
    assert splits == split_posts(SplitSettings(), seed, table, annotations)


@pytest.mark.parametrize("seed", range(4))
def test_every_criterion_has_its_share_of_evidence_and_negatives_in_every_split(seed: int) -> None:
    table, annotations = corpus(1484, {"COMMON": 0.22, "MIDDLE": 0.1, "RARE": 0.025}, seed)
    everything = table["post_id"].tolist()
    splits = split_posts(SplitSettings(), seed, table, annotations)
    assert [len(splits[name]) for name in SPLITS] == pytest.approx([1187, 148, 149], abs=2)
    for status in (0, 1):
        whole = per_criterion(annotations, everything, status)
        for name, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
            own = per_criterion(annotations, splits[name], status)
            for criterion, count in whole.items():
                assert own[criterion] == pytest.approx(share * count, abs=2), (name, criterion, status)


def test_another_seed_gives_another_split() -> None:
    table, annotations = corpus(100, {"A": 0.3})
    assert split_posts(SplitSettings(), 1, table, annotations) != split_posts(SplitSettings(), 2, table, annotations)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 11), min_size=40, max_size=60), st.integers(0, 20))
def test_posts_with_one_text_stay_together(texts: list[int], seed: int) -> None:
    table, annotations = corpus(len(texts), {"A": 0.4})
    table["text"] = [("Text %d" if n % 2 else "TEXT   %d") % text for n, text in enumerate(texts)]
    if len(set(text_keys(table))) < 6:
        return
    half = SplitSettings(train=0.5, validation=0.25, test=0.25)
    splits = split_posts(half, seed, table, annotations)
    split_of = {post_id: name for name, ids in splits.items() for post_id in ids}
    places = pd.Series(table["post_id"].map(split_of).to_numpy()).groupby(text_keys(table)).nunique()
    assert (places == 1).all()


def test_an_official_split_is_taken_as_it_is(tmp_path: object) -> None:
    table, annotations = corpus(9, {"A": 0.5})
    names = ["train", "dev", "test", "Training", "val", "TEST", "train", "validation", "test"]
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"split.{suffix}"  # type: ignore[operator]
        frame = pd.DataFrame({"post_id": table["post_id"], "split": names})
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        splits = split_posts(SplitSettings(file=str(path)), 0, table, annotations)
        assert splits == {
            "train": ["p0000", "p0003", "p0006"],
            "validation": ["p0001", "p0004", "p0007"],
            "test": ["p0002", "p0005", "p0008"],
        }


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["a", "b"], "test": ["b", "c"]}, "1 posts are in two splits: b"),
        ({"train": ["a"], "test": ["b"]}, "1 posts are in no split, or unknown: c"),
        ({"train": ["a", "b"], "test": ["c"]}, "posts with the same text are in different splits: a, c"),
    ],
)
def test_leaks_are_found(splits: dict[str, list[str]], message: str) -> None:
    posts = pd.DataFrame({"post_id": ["a", "b", "c"], "text": ["x y", "z", " X\ny "]})
    with pytest.raises(DataError, match=message):
        check_no_leakage(splits, posts, "split")


def test_digests_change_with_content_and_with_membership() -> None:
    table, annotations = corpus(30, {"A": 0.5})
    splits = {"train": table["post_id"].tolist()[:20], "validation": ["p0020"], "test": table["post_id"].tolist()[21:]}
    digests, counts = describe_splits(splits, table, annotations)
    assert counts["train"]["posts"] == 20
    assert sum(own["annotations"] for own in counts.values()) == len(annotations)
    changed = table.assign(text=table["text"].replace("text 25", "text 25!"))
    again, _ = describe_splits(splits, changed, annotations)
    assert [again[name] == digests[name] for name in SPLITS] == [True, True, False]
    flipped = annotations.assign(status=1 - annotations["status"])
    assert describe_splits(splits, table, flipped)[0]["train"] != digests["train"]
