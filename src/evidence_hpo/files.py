"""The one way files are written and digested: whole or not at all, in canonical form."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.storage import storage_errors, sweep_temporaries, temporary_prefix

__all__ = [
    "atomic_directory",
    "atomic_path",
    "canonical_json",
    "digest_bytes",
    "digest_directory",
    "digest_file",
    "digest_json",
    "link_or_copy",
    "read_json",
    "read_json_lines",
    "read_lines",
    "write_json",
    "write_json_lines",
    "write_text",
]


_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``target``; on success it is flushed to disk and renamed onto ``target``.

    A process killed at any moment leaves either the old file or the new one. Two processes that write the
    same target cannot mix their bytes. What killed writers of this target left behind is removed.

    Raises:
        StorageError: The disk is full or read-only; nothing is left behind.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_temporaries(target)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=temporary_prefix(target), suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty temporary directory that replaces the directory ``target`` on success; see :func:`atomic_path`."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_temporaries(target)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=temporary_prefix(target), suffix=".tmp"))
        try:
            yield temporary
            for path in (temporary, *temporary.rglob("*")):  # some libraries write files that only their owner can read
                path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())
                if path.is_file():
                    _flush(path)
            _replace_directory(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_directory(temporary: Path, target: Path) -> None:
    """Rename a directory onto another; of two processes that do this at once, the last one's stays, whole."""
    while True:
        try:
            temporary.replace(target)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
        else:
            return
        aside = tempfile.mkdtemp(dir=target.parent, prefix=temporary_prefix(target), suffix=".tmp")
        with contextlib.suppress(FileNotFoundError):  # the other process was faster
            target.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` another name of the file ``source``, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _flush(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal strings.

    Raises:
        ValueError: ``value`` holds NaN or an infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_json_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write one canonical JSON value a line, atomically."""
    write_text(path, "".join(canonical_json(row) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not valid JSON ({error.__class__.__name__})") from error


def read_json_lines(path: Path) -> list[Any]:
    """Read a file of one JSON value a line.

    Raises:
        DataError: The file is missing or a line is not JSON.
    """
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {number} is not valid JSON") from error
    return rows


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; none where it is empty.

    Raises:
        DataError: The file is missing or is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text") from error
    return text.removesuffix("\n").split("\n") if text else []


def digest_bytes(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``value``."""
    return digest_bytes(canonical_json(value).encode("utf-8"))


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        DataError: The file is missing.
    """
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error


def digest_directory(path: Path) -> str:
    """Return one SHA-256 over the relative names and contents of all files below ``path``.

    The time stamp that Snakemake leaves in a directory output is not content.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != ".snakemake_timestamp")
    return digest_json({file.relative_to(path).as_posix(): digest_file(file) for file in files})
