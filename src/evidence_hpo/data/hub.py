"""Tables of a Hugging Face data set, or of a local folder that `datasets` can load.

The two "splits" posts and annotations have different columns, so a plain ``load_dataset`` fails when it casts the
second to the features of the first. Here `datasets` only finds and fetches the files of each split; they are then read
like any other file. That also keeps ids and texts such as ``007`` or ``NA`` what they are, and no second copy of the
texts is left in its Arrow cache. Data sets that need code of their own are refused by `datasets` itself.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evidence_hpo.config.base import suggestion
from evidence_hpo.config.data import HubSourceSettings
from evidence_hpo.data.problems import Problems
from evidence_hpo.errors import DataError, EvidenceHpoError
from evidence_hpo.storage import storage_errors

__all__ = ["HubTables", "fetch_tables"]

_COMMIT = re.compile(r"@([0-9a-f]{40})/")


@dataclass(frozen=True)
class HubTables:
    """Local files of the two tables, and the commit that the revision stood for (None: a local folder)."""

    posts: list[Path]
    annotations: list[Path]
    commit: str | None


def fetch_tables(settings: HubSourceSettings) -> HubTables:
    """Find and fetch the files of the two splits.

    Raises:
        DataError: The data set cannot be reached, is gated, has no such revision or splits, or is no data set.
        StorageError: The disk of the download cache is full.
    """
    if not Path(settings.dataset).is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", settings.dataset):
        raise DataError(f"{settings.dataset}: no such folder, nor the name of a Hugging Face data set (owner/name)")
    try:
        with storage_errors(Path(_library().config.HF_CACHE_HOME)):
            files = {name: _files_of(settings, name) for name in (settings.posts_split, settings.annotations_split)}
            _check_found(settings, files)
            manager = _library().DownloadManager(record_checksums=False)
            local = {name: [Path(path) for path in manager.download(urls)] for name, urls in files.items()}
    except EvidenceHpoError:
        raise
    # `datasets` and the hub's client raise many kinds; all of them mean that there is no data.
    except Exception as error:
        raise DataError(_explained(settings, error)) from error
    commits = {match[1] for urls in files.values() for url in urls if (match := _COMMIT.search(url))}
    return HubTables(
        posts=local[settings.posts_split],
        annotations=local[settings.annotations_split],
        commit=commits.pop() if len(commits) == 1 else None,
    )


@cache
def _library() -> Any:
    """Return `datasets`, made quiet; it is imported late, because no other source needs it."""
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    return datasets


def _builder(settings: HubSourceSettings, name: str | None = None) -> Any:
    # A revision means nothing for a folder, and `datasets` says so with an error.
    revision = None if Path(settings.dataset).is_dir() else settings.revision
    return _library().load_dataset_builder(settings.dataset, name, revision=revision)


def _files_of(settings: HubSourceSettings, split: str) -> list[str]:
    """Return the files of one table: of the split, of the configuration of that name, or so named."""
    try:
        found = _builder(settings).config.data_files
    except ValueError:  # "Config name is missing": the tables are configurations instead of splits
        return _flat(_builder(settings, split).config.data_files)
    by_split = {str(name): list(urls) for name, urls in (found or {}).items()}
    if split in by_split:
        return by_split[split]
    return [url for url in _flat(found) if re.fullmatch(rf"(.*[_-])?{re.escape(split)}", Path(url).stem)]


def _flat(data_files: Any) -> list[str]:
    return [str(url) for urls in (data_files or {}).values() for url in urls]


def _check_found(settings: HubSourceSettings, files: dict[str, list[str]]) -> None:
    problems = Problems()
    for key, name in (("posts_split", settings.posts_split), ("annotations_split", settings.annotations_split)):
        if not files[name]:
            hint = _split_hint(settings, name)
            problems.add(settings.dataset, 0, f"no split '{name}' (data.corpus.hub.{key}){hint}")
        odd = [Path(url).suffix for url in files[name] if Path(url).suffix not in {".csv", ".parquet"}]
        if odd:
            problems.add(settings.dataset, 0, f"split '{name}' is in {odd[0]} files; only .csv and .parquet are read")
    problems.raise_any()


def _split_hint(settings: HubSourceSettings, name: str) -> str:
    found = _builder(settings).config.data_files or {}
    return suggestion(name, _known_names(found))


def _known_names(found: dict[Any, Any]) -> Iterable[str]:
    return sorted({str(split) for split in found} | {Path(url).stem for url in _flat(found)})


def _explained(settings: HubSourceSettings, error: Exception) -> str:
    """Return one line for what went wrong; the library's own messages hold paths, addresses and line breaks."""
    text = f"{type(error).__name__} {error}".lower()
    name, where = settings.dataset, f"https://huggingface.co/datasets/{settings.dataset}"
    if Path(name).is_dir():
        return f"{name}: not a data set of CSV or Parquet files named after the splits ({type(error).__name__})"
    if "gated" in text:
        return f"{name}: gated data set; accept its terms at {where} and log in with 'hf auth login' (or set HF_TOKEN)"
    if "revision" in text and "notfound" in text:
        return f"{name}: no revision '{settings.revision}'; data.corpus.hub.revision must be a commit, tag or branch"
    if isinstance(error, ConnectionError) or "offline" in text or "connection" in text or "timeout" in text:
        return (
            f"{name}: the Hugging Face hub cannot be reached; check the network and HF_HUB_OFFLINE, or download it "
            f"elsewhere with 'hf download --repo-type dataset {name} --local-dir FOLDER' and name the folder"
        )
    if "notfound" in text or "doesn't exist" in text:
        return f"{name}: no such data set, or private; check the name, log in with 'hf auth login' (or set HF_TOKEN)"
    return (
        f"{name}: cannot be loaded by `datasets` ({type(error).__name__}); data sets with code of their own are refused"
    )
