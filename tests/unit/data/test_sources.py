"""Sources: files in both formats, the Hugging Face folder layouts, and what is said when the hub cannot help."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evidence_hpo.config.data import CorpusSettings
from evidence_hpo.data.sources import load_corpus
from evidence_hpo.errors import DataError

POSTS = pd.DataFrame({"post_id": ["007", "8"], "text": ["NA", "some, text\r\nof two lines"]})
ANNOTATIONS = pd.DataFrame(
    {
        "post_id": ["007", "8"],
        "sentence_id": ["1", "02"],
        "sentence_text": ["null", "text"],
        "DSM5_symptom": ["MOOD", "SLEEP"],
        "status": [1, 0],
        "explanation": ["", "x"],
    }
)


def write(path: Path, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)


def files(posts: Path, annotations: Path, **more: Any) -> CorpusSettings:
    return CorpusSettings.model_validate(
        {"source": "files", "files": {"posts": str(posts), "annotations": str(annotations)}, **more}
    )


def hub(dataset: object, **more: Any) -> CorpusSettings:
    return CorpusSettings.model_validate({"source": "hub", "hub": {"dataset": str(dataset), **more}})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ids_and_texts_are_read_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"posts.{suffix}", POSTS)
    write(tmp_path / f"annotations.{suffix}", ANNOTATIONS)
    corpus = load_corpus(files(tmp_path / f"posts.{suffix}", tmp_path / f"annotations.{suffix}"))
    assert corpus.posts.to_numpy().tolist() == POSTS.to_numpy().tolist()
    assert corpus.annotations["sentence_id"].tolist() == ["1", "02"]
    assert corpus.annotations["status"].tolist() == ["1", "0"]
    assert corpus.description["posts"] == f"posts.{suffix}"


def test_columns_are_mapped_and_number_and_category_columns_become_text(tmp_path: Path) -> None:
    write(tmp_path / "p.parquet", pd.DataFrame({"number": [1, 2], "body": ["a", "b"]}))
    typed = ANNOTATIONS.assign(post_id=[1, 2], status=[1.0, None], DSM5_symptom=pd.Categorical(["MOOD", "SLEEP"]))
    write(tmp_path / "a.parquet", typed.rename(columns={"post_id": "number", "status": "flag"}))
    columns = {"post_id": "number", "text": "body", "status": "flag"}
    corpus = load_corpus(files(tmp_path / "p.parquet", tmp_path / "a.parquet", columns=columns))
    assert corpus.posts["post_id"].tolist() == ["1", "2"]
    assert corpus.annotations["post_id"].tolist() == ["1", "2"]
    assert corpus.annotations["criterion"].tolist() == ["MOOD", "SLEEP"]
    assert corpus.annotations["status"].tolist() == ["1", None]


README = """---
configs:
- config_name: default
  data_files:
  - split: posts
    path: redsm5_posts.csv
  - split: annotations
    path: redsm5_annotations.csv
---
"""
README_OF_CONFIGURATIONS = """---
configs:
- config_name: posts
  data_files: one.csv
- config_name: annotations
  data_files: two.csv
---
"""


@pytest.mark.parametrize(
    ("posts", "annotations", "readme"),
    [
        ("posts.parquet", "annotations.parquet", ""),
        ("posts.csv", "annotations.csv", ""),
        ("data/posts-00000-of-00001.parquet", "data/annotations-00000-of-00001.parquet", ""),
        ("redsm5_posts.csv", "redsm5_annotations.csv", ""),
        ("redsm5_posts.csv", "redsm5_annotations.csv", README),
        ("one.csv", "two.csv", README_OF_CONFIGURATIONS),
    ],
    ids=["parquet", "csv", "shards", "prefix", "readme", "configurations"],
)
def test_a_folder_in_any_hub_layout_is_read(tmp_path: Path, posts: str, annotations: str, readme: str) -> None:
    folder = tmp_path / "redsm5"
    write(folder / posts, POSTS)
    write(folder / annotations, ANNOTATIONS)
    if readme:
        (folder / "README.md").write_text(readme, encoding="utf-8")
    corpus = load_corpus(hub(folder))
    assert corpus.posts.to_numpy().tolist() == POSTS.to_numpy().tolist()
    assert corpus.annotations["sentence_text"].tolist() == ["null", "text"]
    assert corpus.description == {"kind": "hub", "dataset": "redsm5", "revision": "local folder"}


def test_two_shards_are_one_table(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"data/posts-0000{number}-of-00002.parquet", POSTS[number : number + 1])
    write(tmp_path / "data/annotations-00000-of-00001.parquet", ANNOTATIONS)
    assert load_corpus(hub(tmp_path)).posts["post_id"].tolist() == ["007", "8"]


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    write(tmp_path / "data/posts-00000-of-00001.parquet", POSTS)
    write(tmp_path / "data/anotations-00000-of-00001.parquet", ANNOTATIONS)
    with pytest.raises(DataError, match=r"no split 'annotations' \(.*annotations_split\); did you mean 'anotations'"):
        load_corpus(hub(tmp_path))


def test_other_formats_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: not a data set of CSV or Parquet files"):
        load_corpus(hub(tmp_path / "empty"))
    for name, frame in (("posts", POSTS), ("annotations", ANNOTATIONS)):
        (tmp_path / "lines").mkdir(exist_ok=True)
        frame.to_json(tmp_path / "lines" / f"{name}.jsonl", orient="records", lines=True)
    with pytest.raises(DataError, match=r"split 'posts' is in \.jsonl files; only \.csv and \.parquet are read"):
        load_corpus(hub(tmp_path / "lines"))


def test_a_folder_that_is_not_there_is_not_asked_of_the_hub() -> None:
    with pytest.raises(DataError, match=r"^\./nowhere/data: no such folder, nor the name of a Hugging Face data set"):
        load_corpus(hub("./nowhere/data"))


def not_found(text: str) -> Exception:
    return importlib.import_module("datasets.exceptions").DatasetNotFoundError(text)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: not_found("Dataset 'a/b' is a gated dataset on the Hub."),
            "gated data set; accept its terms at https",
        ),
        (lambda: not_found("Revision 'v9' doesn't exist for dataset 'a/b' on the Hub."), "no revision 'v9'"),
        (lambda: not_found("Dataset 'a/b' doesn't exist on the Hub"), "no such data set, or private; check the name"),
        (lambda: ConnectionError("Couldn't reach 'a/b' on the Hub"), "the Hugging Face hub cannot be reached; check"),
        (
            lambda: RuntimeError("Dataset scripts are no longer supported"),
            "data sets with code of their own are refused",
        ),
    ],
    ids=["gated", "revision", "unknown", "network", "script"],
)
def test_what_the_hub_refuses_is_told_in_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Exception], expected: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise make()

    monkeypatch.setattr("datasets.load_dataset_builder", refuse)
    with pytest.raises(DataError) as told:
        load_corpus(hub("a/b", revision="v9"))
    assert str(told.value).startswith("a/b: ")
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


def test_an_offline_machine_is_told_so() -> None:
    command = "from evidence_hpo.data.sources import *; from evidence_hpo.config.data import *\n"
    command += "try: load_corpus(CorpusSettings(source='hub'))\nexcept Exception as e: print(type(e).__name__, e)"
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith(
        "DataError irlab-udc/redsm5: the Hugging Face hub cannot be reached; check the network"
    )


def test_the_commit_of_a_moving_revision_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    write(tmp_path / "posts.csv", POSTS)
    write(tmp_path / "annotations.csv", ANNOTATIONS)
    urls = {name: [f"hf://datasets/a/b@{commit}/{name}.csv"] for name in ("posts", "annotations")}
    asked: list[Any] = []

    class Builder:
        class config:  # noqa: N801
            data_files = urls

    def build(*_: object, **options: object) -> type[Builder]:
        asked.append(options)
        return Builder

    monkeypatch.setattr("datasets.load_dataset_builder", build)
    monkeypatch.setattr("datasets.DownloadManager.download", lambda _, u: [str(tmp_path / Path(x).name) for x in u])
    corpus = load_corpus(hub("a/b"))
    assert corpus.description == {"kind": "hub", "dataset": "a/b", "revision": commit}
    assert all(options == {"revision": "main"} for options in asked)
    assert f"'main' can move; pin {commit}" in capsys.readouterr().err
    load_corpus(hub("a/b", revision=commit))
    assert "can move" not in capsys.readouterr().err


def test_only_the_hub_source_imports_datasets(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", POSTS)
    write(tmp_path / "a.csv", ANNOTATIONS)
    command = (
        "import sys; from evidence_hpo.data.sources import load_corpus; from evidence_hpo.config.data import *\n"
        f"load_corpus(CorpusSettings(source='files', files=FileSourceSettings(posts={str(tmp_path / 'p.csv')!r}, "
        f"annotations={str(tmp_path / 'a.csv')!r})))\n"
        "sys.exit(bool({'datasets', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
