"""Step split_corpus: training, validation and test posts, frozen in a file with their digests."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.data import SplitSettings
from evidence_hpo.data import tables
from evidence_hpo.data.splits import describe_splits, log_counts, split_posts
from evidence_hpo.schemas import write_artefact
from evidence_hpo.step import run_step


def split_corpus(
    *,
    settings: SplitSettings,
    seed: int,
    posts: Path,
    annotations: Path,
    splits: Path,
    train_posts: Path,
    train_annotations: Path,
    validation_posts: Path,
    validation_annotations: Path,
    test_posts: Path,
    test_annotations: Path,
) -> None:
    """Split the corpus by post and write each split's posts and annotations, and the file that freezes the split."""
    all_posts = tables.read_table(posts, tables.POSTS)
    all_annotations = tables.read_table(annotations, tables.ANNOTATIONS)
    chosen = split_posts(settings, seed, all_posts, all_annotations)
    digests, counts = describe_splits(chosen, all_posts, all_annotations)
    outputs = {
        "train": (train_posts, train_annotations),
        "validation": (validation_posts, validation_annotations),
        "test": (test_posts, test_annotations),
    }
    for name, (posts_file, annotations_file) in outputs.items():
        own_posts = all_posts[all_posts["post_id"].isin(chosen[name])]
        own_annotations = all_annotations[all_annotations["post_id"].isin(chosen[name])]
        tables.write_table(posts_file, own_posts, tables.POSTS)
        tables.write_table(annotations_file, own_annotations, tables.ANNOTATIONS)
    method = "stratified" if settings.file is None else "file"
    value = {"seed": seed, "method": method, "splits": chosen, "digests": digests, "counts": counts}
    write_artefact(splits, "splits", value)
    log_counts(counts)


if __name__ == "__main__":
    run_step(split_corpus)
