"""WordNet and stop words from whichever place has them, and one line where none has."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.augmentation import wordnet
from evidence_hpo.augmentation.wordnet import prepare_nltk_data
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_directory, read_json

DICT = [name for name in wordnet._FILES if name != "lexnames"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No download, and no WordNet of this machine."""
    monkeypatch.setattr(wordnet, "_downloaded", lambda package, folder: False)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "debian")


def make_dict(folder: Path, *, leave_out: str = "") -> Path:
    folder.mkdir(parents=True)
    for name in [*DICT, "extra.file"]:
        if name != leave_out:
            (folder / name).write_text(f"content of {name}\n", encoding="utf-8")
    return folder


def sources(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["wordnet"]["source"], manifest["stop_words"]["source"]


def test_debian_has_the_dict_files_and_the_lexnames_are_added(tmp_path: Path) -> None:
    make_dict(tmp_path / "debian")
    manifest = prepare_nltk_data(tmp_path / "data", None)
    assert sources(manifest) == ("debian", "scikit-learn")
    corpora = tmp_path / "data" / "corpora"
    lines = (corpora / "wordnet" / "lexnames").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 45
    assert [lines[number] for number in (0, 3, 29, 44)] == [
        "00\tadj.all\t3",
        "03\tnoun.Tops\t1",
        "29\tverb.body\t2",
        "44\tadj.ppl\t3",
    ]
    assert not (corpora / "wordnet" / "extra.file").exists()
    words = (corpora / "stopwords" / "english").read_text(encoding="utf-8").split()
    assert {"the", "not", "whereas"} < set(words)
    assert words == sorted(words)
    assert manifest == read_json(tmp_path / "data" / "manifest.json")
    assert manifest["wordnet"]["digest"] == digest_directory(corpora / "wordnet")


@pytest.mark.parametrize("kind", ["dict", "wordnet folder", "nltk_data", "zip"])
def test_a_configured_folder_may_be_of_any_kind_and_wins(tmp_path: Path, kind: str) -> None:
    make_dict(tmp_path / "debian")
    folder = tmp_path / "own"
    if kind == "dict":
        make_dict(folder)
    elif kind == "wordnet folder":
        make_dict(folder / "dict")
    else:
        made = make_dict(folder / "corpora" / "wordnet")
        (folder / "corpora" / "stopwords").mkdir()
        (folder / "corpora" / "stopwords" / "english").write_text("only\n", encoding="utf-8")
        if kind == "zip":
            with zipfile.ZipFile(folder / "corpora" / "wordnet.zip", "w") as archive:
                for path in made.iterdir():
                    archive.write(path, f"wordnet/{path.name}")
                    path.unlink()
            made.rmdir()
    manifest = prepare_nltk_data(tmp_path / "data", folder)
    assert sources(manifest) == ("folder", "folder" if kind in ("nltk_data", "zip") else "scikit-learn")
    assert manifest["wordnet"] == {**prepare_nltk_data(tmp_path / "other", None)["wordnet"], "source": "folder"}


def test_without_any_place_one_line_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare_nltk_data(tmp_path / "data", None)
    assert str(caught.value) == (
        f"WordNet: nltk cannot download it, and {tmp_path / 'debian'} does not hold it; install Debian's "
        "wordnet-base and wordnet-sense-index, or give an nltk_data folder as augmentation.wordnet"
    )
    assert not (tmp_path / "data").exists()


def test_a_configured_folder_without_wordnet_is_an_error_even_if_debian_has_it(tmp_path: Path) -> None:
    make_dict(tmp_path / "debian")
    (tmp_path / "own").mkdir()
    with pytest.raises(DataError, match=r"augmentation\.wordnet: .*own: neither an nltk_data folder"):
        prepare_nltk_data(tmp_path / "data", tmp_path / "own")


def test_what_the_sense_index_package_holds_is_missed_by_name(tmp_path: Path) -> None:
    make_dict(tmp_path / "debian", leave_out="index.sense")
    with pytest.raises(DataError, match=r"debian: has no index\.sense; install Debian's"):
        prepare_nltk_data(tmp_path / "data", None)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "own" / "corpora").mkdir(parents=True)
    (tmp_path / "own" / "corpora" / "wordnet.zip").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"wordnet\.zip: not a whole zip file"):
        prepare_nltk_data(tmp_path / "data", tmp_path / "own")
