"""Who runs in a folder: a claim that ends with its process, and the removal of locks that nobody holds any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evidence_hpo.errors import DataError, StorageError
from evidence_hpo.files import read_json, write_json
from evidence_hpo.paths import WORK
from evidence_hpo.storage import storage_errors

__all__ = ["claim_folder", "note_lock_holder", "noted_start"]

_LOCKS = Path(".snakemake/locks")
_HOLDER = _LOCKS / "holder.json"
"""Beside Snakemake's own lock, which says nothing of who made it; Snakemake removes both with the folder."""
_STARTER = WORK / "run.json"
"""Of a command that has the claim and starts Snakemake: that makes its lock minutes before it can note itself, where it
makes environments first."""


def claim_folder(folder: Path) -> None:
    """Claim ``folder`` for this process until it ends, and clear the stale lock of a killed Snakemake.

    The claim is a lock of the kernel on an open file, so it disappears with the process, however it dies. It is
    passed on through exec, but not to the jobs that Snakemake starts.

    Raises:
        StorageError: A live run holds the folder, or may do so on another machine, or the disk is full.
    """
    descriptor = _opened(folder)
    if not _taken(descriptor):
        os.close(descriptor)
        raise StorageError(f"{_claim(folder)}: another run holds this folder; wait for it or stop it")
    try:
        _clear_stale_lock(folder)
    except BaseException:
        os.close(descriptor)
        raise
    os.set_inheritable(descriptor, True)


@contextlib.contextmanager
def noted_start(folder: Path) -> Iterator[None]:
    """Say, as the process that has the claim of ``folder`` and starts Snakemake, which machine this is.

    Raises:
        StorageError: The disk is full.
    """
    write_json(folder / _STARTER, _here())
    try:
        yield
    finally:
        (folder / _STARTER).unlink(missing_ok=True)


def note_lock_holder(folder: Path, *, locks: bool = True) -> None:
    """Say, as the Snakemake that holds the lock of ``folder``, which machine that is.

    It claims the folder as well, unless the command that started it has done so and passed its claim on. So whoever has
    the claim later, on this machine, knows that the process which noted this is gone.

    Args:
        folder: Folder of the study.
        locks: Whether it does hold the lock, and was not started with ``--nolock`` beside the one that does.

    Raises:
        StorageError: The disk is full.
    """
    descriptor = _opened(folder)
    if not _taken(descriptor):  # by that command; or by one that only looks, and then it is free in a moment
        threading.Thread(target=_taken, args=(descriptor, fcntl.LOCK_EX), name="claim", daemon=True).start()
    if locks:
        write_json(folder / _HOLDER, _here())


def _claim(folder: Path) -> Path:
    return folder / WORK / "run.lock"


def _opened(folder: Path) -> int:
    claim = _claim(folder)
    with storage_errors(claim):
        claim.parent.mkdir(parents=True, exist_ok=True)
        return os.open(claim, os.O_RDWR | os.O_CREAT, 0o666)  # less the umask: a group may share the folder


def _taken(descriptor: int, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        return False
    return True


def _clear_stale_lock(folder: Path) -> None:
    """Remove the lock of a Snakemake of this machine, which is dead, as this process has the claim.

    Of one on another machine the lock may be all that can be seen: not all file systems hold claims between machines.
    """
    locks = folder / _LOCKS
    if not any(locks.glob("*.lock")):
        return
    holder, here = _noted(folder / _HOLDER) or _noted(folder / _STARTER), _here()
    # The name alone after a restart of the machine, the boot alone in another container on it, the SLURM job alone
    # where SLURM started the job of this very command again on another node.
    if not any(holder.get(key) and holder[key] == here[key] for key in here):
        where = f"on {holder['host']}" if holder.get("host") else "on a machine that is not known"
        remedy = "if it runs no more, remove this folder, as `snakemake --unlock` does, and start again"
        raise StorageError(f"{locks}: locked by a Snakemake {where}; {remedy}")
    shutil.rmtree(locks)
    print("cleared the lock of a run that was killed; continuing from what it finished", file=sys.stderr)


def _noted(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (DataError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def _here() -> dict[str, str | None]:
    return {"host": socket.gethostname(), "boot": _boot(), "slurm_job": os.environ.get("SLURM_JOB_ID")}


def _boot() -> str | None:
    """Return what names the run of this machine's kernel, in all its containers; None where there is no such name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
