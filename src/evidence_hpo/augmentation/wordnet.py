"""WordNet 3.0 and English stop words as nltk reads them, from whichever place has them."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_directory, digest_directory, write_json
from evidence_hpo.schemas import check_artefact

__all__ = ["DEBIAN", "MANIFEST", "prepare_nltk_data"]

MANIFEST = "manifest.json"
DEBIAN = Path("/usr/share/wordnet")
"""Where Debian's packages wordnet-base and wordnet-sense-index put WordNet."""

_PARTS = ("adj", "adv", "noun", "verb")
_FILES = tuple(
    sorted(
        ["cntlist.rev", "index.sense", "lexnames"]
        + [f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS]
        + [f"{part}.exc" for part in _PARTS]
    )
)
_PACKAGES = "install Debian's wordnet-base and wordnet-sense-index, or give an nltk_data folder as augmentation.wordnet"
_TIMEOUT_SECONDS = 20.0

# Lexicographer files by number: the table of the manual page lexnames(5WN). Debian leaves the file out.
_LEXNAMES = """
adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person
noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state noun.substance
noun.time verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption verb.contact
verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl
"""
_CATEGORIES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def prepare_nltk_data(target: Path, configured: Path | None) -> dict[str, Any]:
    """Make an nltk_data folder with WordNet and stop words.

    WordNet comes from the configured folder alone, if there is one; else from nltk's download, else from Debian's
    packages. Stop words come from the configured nltk_data folder or nltk's download, else from scikit-learn's list.

    Args:
        target: Folder to make; its ``manifest.json`` says what came from where.
        configured: An nltk_data folder, or WordNet's dict folder; None: none is configured.

    Returns:
        The manifest.

    Raises:
        DataError: WordNet is nowhere to be had, or the configured folder is incomplete.
    """
    with atomic_directory(target) as folder:
        if configured is not None:
            wordnet = _from_folder(configured, folder, f"augmentation.wordnet: {configured}")
        else:
            wordnet = _first_of(folder)
        stop_words = _stop_words(configured, folder)
        corpora = folder / "corpora"
        manifest = {
            "wordnet": {"source": wordnet, "digest": digest_directory(corpora / "wordnet")},
            "stop_words": {"source": stop_words, "digest": digest_directory(corpora / "stopwords")},
        }
        check_artefact("nltk_data", manifest, str(target))
        write_json(folder / MANIFEST, manifest)
    return manifest


def _first_of(folder: Path) -> str:
    if _downloaded("wordnet", folder):
        _complete(folder / "corpora" / "wordnet", "nltk's download of WordNet")
        return "nltk"
    if (DEBIAN / "data.noun").is_file():
        _copied(DEBIAN, folder / "corpora" / "wordnet", str(DEBIAN))
        return "debian"
    raise DataError(f"WordNet: nltk cannot download it, and {DEBIAN} does not hold it; {_PACKAGES}")


def _from_folder(configured: Path, folder: Path, key: str) -> str:
    target = folder / "corpora" / "wordnet"
    places = (configured, configured / "dict", configured / "corpora" / "wordnet", configured / "wordnet")
    for place in places:
        if (place / "data.noun").is_file():
            _copied(place, target, key)
            return "folder"
    for archive in (configured / "corpora" / "wordnet.zip", configured / "wordnet.zip"):
        if archive.is_file():
            _unzipped(archive, folder / "corpora")
            _complete(target, key)
            return "folder"
    raise DataError(f"{key}: neither an nltk_data folder with corpora/wordnet nor WordNet's dict folder; {_PACKAGES}")


def _copied(place: Path, target: Path, key: str) -> None:
    target.mkdir(parents=True)
    for name in _FILES:
        if (place / name).is_file():
            shutil.copyfile(place / name, target / name)
    _complete(target, key)


def _complete(target: Path, key: str) -> None:
    """Write the file that Debian leaves out, remove what nltk does not need, and check that nothing is missing."""
    if not (target / "lexnames").is_file() and target.is_dir():
        lines = (f"{n:02d}\t{name}\t{_CATEGORIES[name.split('.')[0]]}\n" for n, name in enumerate(_LEXNAMES.split()))
        (target / "lexnames").write_text("".join(lines), encoding="utf-8")
    missing = [name for name in _FILES if not (target / name).is_file()]
    if missing:
        raise DataError(f"{key}: has no {', '.join(missing)}; {_PACKAGES}")
    for path in target.iterdir():
        if path.name not in _FILES:
            path.unlink()


def _stop_words(configured: Path | None, folder: Path) -> str:
    own = folder / "corpora" / "stopwords"
    given = None if configured is None else configured / "corpora" / "stopwords" / "english"
    if given is not None and given.is_file():
        own.mkdir(parents=True)
        shutil.copyfile(given, own / "english")
        return "folder"
    if _downloaded("stopwords", folder):
        for path in own.iterdir():
            if path.name != "english":
                path.unlink()
        return "nltk"
    listed = importlib.import_module("sklearn.feature_extraction.text").ENGLISH_STOP_WORDS
    own.mkdir(parents=True)
    (own / "english").write_text("".join(f"{word}\n" for word in sorted(listed)), encoding="utf-8")
    return "scikit-learn"


def _downloaded(package: str, folder: Path) -> bool:
    """Download a corpus by nltk's own means and return whether that worked; silent."""
    nltk = importlib.import_module("nltk")
    with _brief_network():
        try:
            done = nltk.download(package, download_dir=str(folder), quiet=True, print_error_to=io.StringIO())
        except Exception:  # whatever a proxy or a broken mirror gives; the other places are tried then
            done = False
    archive = folder / "corpora" / f"{package}.zip"
    if archive.is_file():
        if not (folder / "corpora" / package).is_dir():
            _unzipped(archive, folder / "corpora")
        archive.unlink()
    return bool(done) and (folder / "corpora" / package).is_dir()


@contextlib.contextmanager
def _brief_network() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unzipped(archive: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(target)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive}: not a whole zip file; get it again") from error
