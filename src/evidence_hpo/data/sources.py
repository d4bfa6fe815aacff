"""Where a corpus comes from: the bundled sample, two files, or a Hugging Face data set; one interface for all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from evidence_hpo.config.data import ColumnSettings, CorpusSettings
from evidence_hpo.data.problems import Problems
from evidence_hpo.data.tables import read_foreign, select_columns
from evidence_hpo.errors import DataError
from evidence_hpo.logs import log_event

__all__ = ["RawCorpus", "load_corpus"]

_POST_COLUMNS = ("post_id", "text")
_ANNOTATION_COLUMNS = ("post_id", "sentence_id", "sentence_text", "criterion", "status")


@dataclass(frozen=True)
class RawCorpus:
    """A corpus as its source gives it: columns renamed, every value text or None, nothing checked.

    Attributes:
        posts: post_id, text.
        annotations: post_id, sentence_id, sentence_text, criterion, status.
        posts_name: What messages call the table of posts.
        annotations_name: What messages call the table of annotations.
        description: Source and its revision, for the report.
    """

    posts: pd.DataFrame
    annotations: pd.DataFrame
    posts_name: str
    annotations_name: str
    description: dict[str, str | int]


def load_corpus(settings: CorpusSettings) -> RawCorpus:
    """Read the two tables of the configured source.

    Raises:
        DataError: A table is missing or cannot be read; one line per problem, of both tables.
    """
    loaders = {"sample": _sample, "files": _files, "hub": _hub}
    return loaders[settings.source](settings)


def _sample(settings: CorpusSettings) -> RawCorpus:
    from evidence_hpo.data.sample import generate_corpus

    posts, annotations = generate_corpus(settings.sample.posts, settings.sample.seed)
    names = ColumnSettings()  # the sample's own, whatever the configuration calls the columns of other sources
    return RawCorpus(
        posts=select_columns(pa.Table.from_pandas(posts), _mapping(names, _POST_COLUMNS), "sample posts"),
        annotations=select_columns(
            pa.Table.from_pandas(annotations), _mapping(names, _ANNOTATION_COLUMNS), "sample annotations"
        ),
        posts_name="sample posts",
        annotations_name="sample annotations",
        description={"kind": "sample", "posts": settings.sample.posts, "seed": settings.sample.seed},
    )


def _files(settings: CorpusSettings) -> RawCorpus:
    posts, annotations = settings.files.posts or "", settings.files.annotations or ""
    description: dict[str, str | int] = {
        "kind": "files",
        "posts": Path(posts).name,
        "annotations": Path(annotations).name,
    }
    return _read(settings, [Path(posts)], [Path(annotations)], (posts, annotations), description)


def _hub(settings: CorpusSettings) -> RawCorpus:
    from evidence_hpo.data.hub import fetch_tables

    hub = settings.hub
    fetched = fetch_tables(hub)
    local = Path(hub.dataset).is_dir()
    description: dict[str, str | int] = {
        "kind": "hub",
        "dataset": Path(hub.dataset).name if local else hub.dataset,
        "revision": "local folder" if local else (fetched.commit or hub.revision),
    }
    if not local and not re.fullmatch(r"[0-9a-f]{40}", hub.revision):
        log_event(
            "unpinned_revision",
            f"data.corpus.hub.revision: '{hub.revision}' can move; pin {fetched.commit or 'a commit'}",
            level="warning",
        )
    names = (f"{hub.dataset} {hub.posts_split}", f"{hub.dataset} {hub.annotations_split}")
    return _read(settings, fetched.posts, fetched.annotations, names, description)


def _read(
    settings: CorpusSettings,
    posts: Sequence[Path],
    annotations: Sequence[Path],
    names: tuple[str, str],
    description: dict[str, str | int],
) -> RawCorpus:
    problems = Problems()
    tables = []
    for paths, columns in ((posts, _POST_COLUMNS), (annotations, _ANNOTATION_COLUMNS)):
        for path in paths:
            try:
                tables.append((columns, read_foreign(path, _mapping(settings.columns, columns))))
            except DataError as error:
                problems.add_error(error)
    problems.raise_any()
    first, second = (
        pd.concat([table for key, table in tables if key == columns], ignore_index=True)
        for columns in (_POST_COLUMNS, _ANNOTATION_COLUMNS)
    )
    return RawCorpus(first, second, *names, description=description)


def _mapping(names: ColumnSettings, columns: Sequence[str]) -> dict[str, str]:
    return {column: str(getattr(names, column)) for column in columns}
