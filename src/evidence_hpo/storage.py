"""What happens when a disk is full, and what killed writers leave behind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from evidence_hpo.errors import StorageError

__all__ = ["as_storage_error", "is_abandoned", "storage_errors", "sweep_temporaries", "temporary_prefix"]

_REMEDIES = {
    errno.ENOSPC: "free space and run again",
    errno.EDQUOT: "remove files or ask for more quota, and run again",
    errno.EROFS: "make it writable, or choose another place, and run again",
    errno.EIO: "check the disk or the file server, and run again",
    errno.ESTALE: "the file server lost it: run again",
}
# Libraries written in Rust (safetensors, tokenizers, the hub's downloads) raise classes of their own with this text.
_OF_RUST = re.compile(r"\(os error (\d+)\)")
_WRITER = re.compile(r"\.([0-9a-f]{12})-(\d+)\.\w+\.tmp$")
_SWEEP_SECONDS = 7 * 24 * 3600.0


@contextlib.contextmanager
def storage_errors(target: Path | None = None) -> Iterator[None]:
    """Turn whatever a library raises on a full or read-only disk into one line; see :func:`as_storage_error`.

    Raises:
        StorageError: The disk is full or read-only.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        storage_error = as_storage_error(error, target)
        if storage_error is None:
            raise
        raise storage_error from error


def as_storage_error(error: BaseException, target: Path | None = None) -> StorageError | None:
    """Return an error that names the file, the free space and the remedy; None if ``error`` is no fault of the disk.

    Args:
        error: What was raised, perhaps because of a fault of the disk.
        target: What was being written; None: what the error names, if anything.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = _errno(cause)
        if number in _REMEDIES:
            place = target or _named_file(cause)
            what = f"{place}: cannot be written" if place else "a file cannot be written"
            free = _free_space(place or Path("file"))
            return StorageError(f"{what}: {os.strerror(number)}{free}; {_REMEDIES[number]}")
        cause = cause.__cause__ or cause.__context__
    return None


def _errno(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return errno.ENOSPC
    found = _OF_RUST.search(str(error))
    return int(found[1]) if found else None


def _named_file(error: BaseException) -> Path | None:
    """Return the file that an error names; of two, as when a file is copied, the second is written."""
    names = [getattr(error, name, None) for name in ("filename2", "filename")]
    return next((Path(name) for name in names if isinstance(name, str)), None)


def _free_space(place: Path) -> str:
    """Return how much of the disk is free; a disk with free space may still have no room for another file."""
    folder = next((parent for parent in place.absolute().parents if parent.is_dir()), None)
    if folder is None:
        return ""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        return f" ({usage.free / 1e9:.2f} of {usage.total / 1e9:.2f} GB are free)"
    return ""


# --- temporary files ---------------------------------------------------------------------------------------------


def temporary_prefix(target: Path) -> str:
    """Return the beginning of the name of a temporary sibling of ``target``; it tells which process writes it."""
    return f".{target.name}.{_process_space()}-{os.getpid()}."


def sweep_temporaries(target: Path) -> None:
    """Remove the temporary siblings of ``target`` whose writers are certainly dead.

    Certain is a process id that no process of the same boot and the same process namespace has. Of other machines and
    containers nothing is known, so their files go after a week: no write takes so long.
    """
    beginning = f".{target.name}."
    for path in list(target.parent.iterdir()):
        # The name of another target may begin in the same way.
        if path.name.startswith(beginning) and _WRITER.fullmatch(path.name[len(beginning) - 1 :]):
            with contextlib.suppress(OSError):  # another process may have removed it
                if is_abandoned(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_abandoned(path: Path) -> bool:
    """Return whether ``path`` has the name of a temporary sibling whose writer is certainly dead."""
    found = _WRITER.search(path.name)
    if found is None:
        return False
    if found[1] == _process_space():
        return not _is_alive(int(found[2]))
    return time.time() - path.stat().st_mtime > _SWEEP_SECONDS


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


@cache
def _process_space() -> str:
    """Return a name of the processes among which this one's id is unique: one boot, and one namespace of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a name, not a path
    except OSError:
        space = platform.node()
    return hashlib.sha256(space.encode()).hexdigest()[:12]
